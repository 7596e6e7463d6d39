//! `shunt status`: whether the programs are attached, and to which devices, how full the maps are, what was counted.

use super::{
    args::{Output, StatusArgs},
    live,
    status_devices::{DeviceStatus, PacketStatus, devices, write_devices},
    work::Work,
};
use crate::{
    kernel::{self, Attachment, Cgroup, LockState, PROGRAMS, PinnedMaps, cgroup2_mount_point, lock_state},
    writer::{FrontendKey, MapReader, PrefixKey, Size},
};
use proxy_common::abi::{Counter, EndpointSet};
use serde::Serialize;
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

#[derive(Serialize)]
struct StatusDocument {
    agent: AgentStatus,
    attached: Vec<ProgramStatus>,
    devices: Vec<DeviceStatus>,
    packets: PacketStatus,
    /// What kube-proxy has on this node, or has left there; absent where the kernel does not tell.
    kube_proxy: Option<Vec<String>>,
    maps: Vec<MapStatus>,
    /// Bytes of all maps together.
    map_memory_bytes: u64,
    /// What they may grow to; absent where no agent has said so.
    map_memory_limit_bytes: Option<u64>,
    counters: Vec<(&'static str, u64)>,
}

/// The agent, or the last one that has run.
#[derive(Serialize)]
struct AgentStatus {
    /// Whether one runs: somebody holds the pin path. Absent where that cannot be found out.
    running: Option<bool>,
    /// Its process, if that has a number in this PID namespace.
    pid: Option<u32>,
    /// Whether its first complete list has come.
    listed: bool,
    /// Seconds since it started, since that list, and since it compared and changed the maps last; absent for never.
    started_seconds: Option<u64>,
    first_list_seconds: Option<u64>,
    last_sync_seconds: Option<u64>,
    last_change_seconds: Option<u64>,
    #[serde(skip)]
    work: Work,
}

impl AgentStatus {
    fn new(maps: &PinnedMaps, pin_path: &Path) -> Self {
        let lock = lock_state(pin_path).ok();
        let pid = match &lock {
            Some(LockState::Held(holder)) => holder.as_ref().map(|holder| holder.pid),
            _ => None,
        };
        let work = Work::now(&maps.agent());
        let seconds = |age: Option<Duration>| age.map(|age| age.as_secs());
        Self {
            running: lock.map(|lock| lock != LockState::Free),
            pid,
            listed: work.listed.is_some(),
            started_seconds: seconds(work.started),
            first_list_seconds: seconds(work.listed),
            last_sync_seconds: seconds(work.synced),
            last_change_seconds: seconds(work.changed),
            work,
        }
    }
}

#[derive(Serialize)]
struct ProgramStatus {
    program: &'static str,
    link_id: Option<u32>,
    program_id: Option<u32>,
    effective: bool,
}

/// How full a map is.
#[derive(Serialize)]
pub struct MapStatus {
    pub map: &'static str,
    /// Absent where counting would mean reading the whole map.
    pub used: Option<u32>,
    pub capacity: u32,
    pub bytes: u64,
}

/// Prints the status. Exit code 1 if a program is not in effect, for sockets or on a device.
pub fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let maps = live::open(&args.pins.pin_path, "")?;
    let path = args.cgroup.clone().or_else(cgroup2_mount_point);
    let cgroup = Cgroup::open(&path.unwrap_or_else(|| PathBuf::from("/sys/fs/cgroup")))?;
    let found = maps.attached(&cgroup)?;
    let (counters, statuses) = (maps.counters()?, map_status(&maps)?);
    let document = StatusDocument {
        agent: AgentStatus::new(&maps, &args.pins.pin_path),
        attached: PROGRAMS.iter().map(|(program, _)| program_status(program, &found)).collect(),
        devices: devices(&maps)?,
        packets: PacketStatus::new(maps.packet_settings()),
        kube_proxy: kernel::kube_proxy(false).ok().map(|found| found.iter().map(|f| f.to_string()).collect()),
        map_memory_bytes: statuses.iter().map(|map| map.bytes).sum(),
        map_memory_limit_bytes: Some(maps.agent().map_memory).filter(|bytes| *bytes > 0),
        maps: statuses,
        counters: Counter::ALL.iter().map(|counter| (counter.name(), counters[*counter as usize])).collect(),
    };
    let effective = document.attached.iter().all(|program| program.effective)
        && !document.devices.iter().any(DeviceStatus::is_broken);
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)?;
        }
        Output::Table => write_table(&mut out, &document)?,
    }
    Ok(ExitCode::from(u8::from(!effective)))
}

fn program_status(program: &'static str, found: &[Attachment]) -> ProgramStatus {
    let attachment = found.iter().find(|attachment| attachment.program == program);
    ProgramStatus {
        program,
        link_id: attachment.map(|a| a.link_id),
        program_id: attachment.map(|a| a.program_id),
        effective: attachment.is_some_and(|a| a.effective),
    }
}

/// How full each map is.
///
/// # Errors
/// Where one cannot be read.
pub fn map_status(maps: &PinnedMaps) -> anyhow::Result<Vec<MapStatus>> {
    let capacities = maps.capacities();
    let frontends = maps.frontends()?;
    let v4 = frontends.iter().filter(|(key, _)| matches!(key, FrontendKey::V4(_))).count() as u32;
    let services: Vec<_> =
        (0..capacities.services).filter_map(|i| maps.service(i)).filter(|entry| entry.name > 0).collect();
    let slots = services
        .iter()
        .flat_map(|entry| [entry.cluster, entry.local])
        .fold(0_u32, |sum, set| sum.saturating_add(range(set, capacities.slots)));
    let backends = (0..capacities.backends)
        .filter(|i| maps.backend(*i).is_some_and(|entry| entry.port != 0))
        .count() as u32;
    let prefixes = maps.prefixes()?;
    let ranges = prefixes.iter().filter(|(key, _)| matches!(key, PrefixKey::Source(_))).count() as u32;
    let (flows, devices) = (maps.flows()?, maps.devices()?);
    Ok(maps
        .memory()?
        .into_iter()
        .map(|(map, bytes)| {
            let (used, capacity) = match map {
                "FRONTENDS4" => (Some(v4), capacities.frontends),
                "FRONTENDS6" => (Some(frontends.len() as u32 - v4), capacities.frontends),
                "SERVICES" => (Some(services.len() as u32), capacities.services),
                "SLOTS" => (Some(slots), capacities.slots),
                "BACKENDS" => (Some(backends), capacities.backends),
                "SOURCE_RANGES" => (Some(ranges), capacities.prefixes),
                "NETWORKS" => (Some(prefixes.len() as u32 - ranges), capacities.prefixes),
                "FLOWS" => (Some(flows), capacities.flows),
                "FRAGMENTS" => (None, 2_048),
                "STAGES" => (None, 4),
                "DEVICES" => (Some(devices), 4_096),
                "EVENTS" => (None, 262_144),
                "COUNTERS" => (None, Counter::COUNT as u32),
                "BEFORE_PACKETS" => (None, 2),
                _ => (None, Size::of_map(map).map_or(1, |size| capacities.get(size))),
            };
            MapStatus { map, used, capacity, bytes }
        })
        .collect())
}

/// Slots that a set's range takes, of `capacity`: a set in damaged maps may say anything.
fn range(set: EndpointSet, capacity: u32) -> u32 {
    let count = set.count().min(capacity);
    if count == 0 { 0 } else { count.checked_next_power_of_two().unwrap_or(capacity) }
}

fn write_table(out: &mut impl std::io::Write, document: &StatusDocument) -> std::io::Result<()> {
    let AgentStatus { running, pid, work, .. } = &document.agent;
    let process = pid.map(|pid| format!("process {pid}, ")).unwrap_or_default();
    match running {
        Some(true) => writeln!(out, "AGENT runs: {process}{work}\n")?,
        Some(false) => writeln!(out, "AGENT: none runs; of the last one: {work}\n")?,
        None => writeln!(out, "AGENT: whether one runs cannot be found out; {work}\n")?,
    }
    writeln!(out, "PROGRAM       LINK      PROG      STATE")?;
    for program in &document.attached {
        let id = |id: Option<u32>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let state = if program.effective { "in effect" } else { "NOT IN EFFECT" };
        let (link, prog) = (id(program.link_id), id(program.program_id));
        writeln!(out, "{:12}  {link:8}  {prog:8}  {state}", program.program)?;
    }
    write_devices(out, &document.devices, &document.packets)?;
    write_kube_proxy(out, document.kube_proxy.as_deref())?;
    writeln!(out, "\nMAP               USED  CAPACITY      KIB")?;
    for map in &document.maps {
        let used = map.used.map_or_else(|| "-".to_owned(), |used| used.to_string());
        writeln!(out, "{:12}  {used:>8}  {:>8}  {:>7}", map.map, map.capacity, map.bytes / 1024)?;
    }
    writeln!(out, "{:34}{:>7}", "total", document.map_memory_bytes / 1024)?;
    if let Some(limit) = document.map_memory_limit_bytes {
        writeln!(out, "{:34}{:>7}", "limit (--map-memory, --max-...)", limit / 1024)?;
    }
    writeln!(out, "\nCOUNTER")?;
    for (name, value) in &document.counters {
        writeln!(out, "{name:26}{value:>12}")?;
    }
    Ok(())
}

/// Nothing where nothing is to be said.
fn write_kube_proxy(out: &mut impl std::io::Write, found: Option<&[String]>) -> std::io::Result<()> {
    match found {
        Some([]) => Ok(()),
        Some(found) => writeln!(out, "\nKUBE-PROXY is here too: {}", found.join(", ")),
        None => writeln!(out, "\nKUBE-PROXY may be here too: looking for it needs CAP_NET_ADMIN"),
    }
}
