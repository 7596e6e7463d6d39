//! Nanoseconds that the packet programs take for a packet, by the kernel's test run (BPF_PROG_TEST_RUN), over the maps
//! of clusters of one and of many services. What a run of an empty program takes is taken off.
//!
//! * **Known flow**: the program itself begins the flow. Its entry leads a packet to its backend, so a second run
//!   would meet another packet: two more entries lead it back to where it was, by the same way and flags, and 200
//!   runs in a row are timed.
//! * **New flow**: every run has a source port that no run before it had, so each is timed alone, with what a system
//!   call leaves in the caches. The programs' own counter has to agree that each was new.

use super::Scale;
use crate::{
    cluster::Port,
    frame::{ACK, SYN, tcp, tuple},
    outside::{Backend, LINK, Outside},
    random::Random,
    report::{Figure, Report, Target},
    stage::Stage,
};
use anyhow::{Context as _, Result, ensure};
use proxy_common::abi::{ABI_VERSION, Counter, FlowEntry, Seen, Tuple};
use shunt::{
    kernel::sys::{Access, MapFd, TestPacket, TestRun, empty_program, test_run},
    model::{Device, Protocol},
};
use std::{
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
};
use zerocopy::{FromBytes, IntoBytes};

const HTTP: Port = Port { name: "http", protocol: Protocol::Tcp, port: 80, target: 8080 };
const NODE_PORT: u16 = 30_080;

/// Runs in a row; a forwarded packet lives through 254.
const REPEAT: u32 = 200;
/// New flows of each kind in a round.
const NEW: usize = 20;
/// Rounds: all flows of one cluster have source ports of their own, and fit into FLOWS.
const ROUNDS: usize = 100;
const FIRST_PORT: u64 = 1_024;
/// A port that no other flow has, neither a client's nor a backend's.
const NO_FLOWS_PORT: u16 = 9;

/// What the programs return (linux/pkt_cls.h).
const OK: u32 = 0;
const UNSPEC: u32 = u32::MAX;
const REDIRECT: u32 = 7;

/// How much more a packet may take at many services than at one.
const FLAT: f64 = 1.1;

/// All samples of one figure.
type Samples = Vec<((String, u32), Vec<f64>)>;

/// The programs over the maps of one cluster.
struct Bed {
    backend: Backend,
    stage: Stage,
    ingress: OwnedFd,
    egress: OwnedFd,
    flows: MapFd,
    /// New flows so far.
    begun: u64,
}

/// Who sends what where.
struct Scene {
    client: Ipv4Addr,
    node: Ipv4Addr,
    /// An address that is nobody's.
    other: Ipv4Addr,
    device: Device,
    empty: OwnedFd,
}

/// Runs the scenario.
///
/// # Errors
/// Where lab or maps cannot be made, or a program does not do what it is timed for.
pub fn run(scale: Scale) -> Result<Report> {
    let mut report =
        Report::new("packet", "packet programs, by the kernel's test run; an empty program taken off");
    let outside = Outside::new()?;
    let [_, _, most] = scale.sizes();
    let sizes = [1, most];
    let mut beds = Vec::new();
    for services in sizes {
        for backend in Backend::BOTH {
            beds.push(Bed::new(&outside, services, backend)?);
        }
    }
    let scene = Scene {
        client: outside.lan.client().ipv4(),
        node: outside.node().ipv4(),
        other: Ipv4Addr::new(203, 0, 113, 77),
        device: outside.device(LINK)?.0,
        empty: empty_program().context("BPF_PROG_LOAD")?,
    };
    let mut samples = Samples::new();
    let mut random = Random::new(1);
    outside.node().run(|| -> Result<()> {
        for _ in 0..scale.times(ROUNDS) {
            for bed in &mut beds {
                bed.round(&scene, &mut random, &mut samples)?;
            }
        }
        Ok(())
    })??;
    for bed in &beds {
        let new = bed.stage.engine.writer().counters()?[Counter::FlowNew as usize];
        ensure!(new == bed.begun, "{new} flows were new of {}", bed.begun);
    }
    report.figures.extend(
        samples.into_iter().map(|((what, services), samples)| Figure::new(what, services, "ns", samples)),
    );
    targets(&mut report, sizes)?;
    let first = beds.first_mut().context("a cluster")?;
    report.figures.extend(first.code()?);
    Ok(report)
}

/// Flat: minimums are what other load on the machine does not change.
fn targets(report: &mut Report, [one, most]: [u32; 2]) -> Result<()> {
    let mut targets = Vec::new();
    for few in report.figures.iter().filter(|figure| figure.services == one) {
        let many = report.figure(&few.what, most)?;
        let what = format!("{}, {most} services beside one, minimums", few.what);
        targets.push(Target::at_most(what, "", FLAT, many.min / few.min));
    }
    report.targets = targets;
    Ok(())
}

impl Bed {
    fn new(outside: &Outside, services: u32, backend: Backend) -> Result<Self> {
        let mut stage = outside.stage(services, vec![HTTP], backend, &[NODE_PORT])?;
        // Enough to be translated: test runs need no program on a device.
        for device in [LINK, outside.node().bridge()] {
            let (device, entry) = outside.device(device)?;
            stage.programs.packets().publish(device.index, &entry)?;
        }
        let [ingress, egress] = ["ingress", "egress"].map(|name| -> Result<OwnedFd> {
            let program = stage.programs.ebpf_mut().program_mut(name).context("a program")?;
            Ok(program.fd()?.as_fd().try_clone_to_owned()?)
        });
        let flows = stage.pin_path().join(format!("v{ABI_VERSION}/maps/FLOWS"));
        let flows = MapFd::open(&flows, Access::ReadWrite).context("open FLOWS")?;
        Ok(Self { backend, stage, ingress: ingress?, egress: egress?, flows, begun: 0 })
    }

    /// Every kind of packet once.
    fn round(&mut self, scene: &Scene, random: &mut Random, samples: &mut Samples) -> Result<()> {
        let services = self.stage.cluster.services();
        let (alone, in_a_row) = (scene.own_cost(1)?, scene.own_cost(REPEAT)?);
        let mut note = |what: String, run: &TestRun, own: u32| {
            let sample = f64::from(run.nanoseconds) - f64::from(own);
            match samples.iter_mut().find(|(known, _)| *known == (what.clone(), services)) {
                Some((_, all)) => all.push(sample),
                None => samples.push(((what, services), vec![sample])),
            }
        };
        let place = self.backend.text();
        if self.backend == Backend::Local {
            let through = scene.frame(tuple((scene.client, 40_000), (scene.other, 443)), ACK);
            let run = scene.run(&self.ingress, &through, REPEAT, UNSPEC)?;
            note("not a service, arrives".to_owned(), &run, in_a_row);
            let run = scene.run(&self.egress, &through, REPEAT, UNSPEC)?;
            note("not a service, leaves".to_owned(), &run, in_a_row);
            let to_node = scene.frame(tuple((scene.client, 40_000), (scene.node, 22)), ACK);
            let run = scene.run(&self.ingress, &to_node, REPEAT, UNSPEC)?;
            note("not a service, for the node itself".to_owned(), &run, in_a_row);
        }
        let middle = self.stage.cluster.cluster_ip(services / 2);
        for _ in 0..NEW {
            let run = self.begin(scene, (scene.node, NODE_PORT))?.1;
            note(format!("new flow, {place}, NodePort"), &run, alone);
            let run = self.begin(scene, (middle, HTTP.port))?.1;
            note(format!("new flow, {place}, ClusterIP"), &run, alone);
            if services > 1 {
                let any = self.stage.cluster.cluster_ip(random.below(services));
                let run = self.begin(scene, (any, HTTP.port))?.1;
                note(format!("new flow, {place}, a random one of all ClusterIPs"), &run, alone);
            }
        }
        let key = self.begin(scene, (scene.node, NODE_PORT))?.0;
        let entry = self.entry(&key)?;
        let packet = scene.frame(self.circle(&key, &entry)?, ACK);
        let run = scene.run(&self.ingress, &packet, REPEAT, self.verdict())?;
        note(format!("known flow, {place}, from the client"), &run, in_a_row);
        let key = entry.other(key.protocol);
        let entry = self.entry(&key)?;
        let packet = scene.frame(self.circle(&key, &entry)?, ACK);
        let program = if self.backend == Backend::Local { &self.egress } else { &self.ingress };
        let run = scene.run(program, &packet, REPEAT, self.verdict())?;
        note(format!("known flow, {place}, from the backend"), &run, in_a_row);
        Ok(())
    }

    fn verdict(&self) -> u32 {
        if self.backend == Backend::Local { UNSPEC } else { REDIRECT }
    }

    /// Begins a flow from the next port.
    fn begin(&mut self, scene: &Scene, to: (Ipv4Addr, u16)) -> Result<(Tuple, TestRun)> {
        let port = u16::try_from(FIRST_PORT + self.begun).context("more flows than ports")?;
        let key = tuple((scene.client, port), to);
        let run = scene.run(&self.ingress, &scene.frame(key, SYN), 1, self.verdict())?;
        self.begun += 1;
        Ok((key, run))
    }

    fn entry(&self, key: &Tuple) -> Result<FlowEntry> {
        let bytes = self.flows.lookup(key.as_bytes()).context("a flow that was begun")?;
        FlowEntry::read_from_bytes(&bytes).ok().context("a flow's entry")
    }

    /// Has an entry's packets go in a circle: returns the tuple of one that it makes another of, of which a second
    /// entry makes the first one again. Both go to the same address, so the routes are those of the flow.
    fn circle(&self, key: &Tuple, entry: &FlowEntry) -> Result<Tuple> {
        let there = entry.translated(key.protocol);
        // A packet that adds something, or is the first in a second, looks whether its flow's other entry leads back.
        // These have none.
        let known = FlowEntry { client: Seen::ANY, server: Seen::ANY, last_seen: u32::MAX, ..*entry };
        let here = Tuple { destination: there.destination, destination_port: NO_FLOWS_PORT.to_be(), ..*key };
        let back = FlowEntry {
            source: here.source,
            destination: here.destination,
            source_port: here.source_port,
            destination_port: here.destination_port,
            ..known
        };
        self.flows.update(here.as_bytes(), known.as_bytes()).context("BPF_MAP_UPDATE_ELEM")?;
        self.flows.update(there.as_bytes(), back.as_bytes()).context("BPF_MAP_UPDATE_ELEM")?;
        Ok(here)
    }

    /// Size of the code, and what the verifier went through.
    fn code(&mut self) -> Result<Vec<Figure>> {
        let mut figures = Vec::new();
        for name in ["ingress", "egress", "stage_begin", "stage_send", "stage_answer", "stage_error"] {
            let info = self.stage.programs.ebpf_mut().program_mut(name).context("a program")?.info()?;
            let verified = info.verified_instruction_count().unwrap_or(0);
            let sizes =
                [("verified", "instructions", verified), ("machine code", "bytes", info.size_jitted())];
            figures.extend(sizes.map(|(what, unit, size)| {
                Figure::new(format!("{name}, {what}"), 0, unit, vec![f64::from(size)])
            }));
        }
        Ok(figures)
    }
}

impl Scene {
    /// Nanoseconds of a run of the empty program.
    fn own_cost(&self, repeat: u32) -> Result<u32> {
        let frame = self.frame(Tuple::default(), ACK);
        let mut least = u32::MAX;
        for _ in 0..NEW {
            least = least.min(self.run(&self.empty, &frame, repeat, OK)?.nanoseconds);
        }
        Ok(least)
    }

    fn frame(&self, tuple: Tuple, flags: u8) -> Vec<u8> {
        tcp(self.device.mac, &tuple, flags)
    }

    fn run(&self, program: &OwnedFd, frame: &[u8], repeat: u32, verdict: u32) -> Result<TestRun> {
        let device = self.device.index;
        let packet = TestPacket { bytes: frame, device, came_by: device, summed: false, segment: 0 };
        let run = test_run(program.as_fd(), &packet, repeat).context("BPF_PROG_TEST_RUN")?;
        ensure!(run.value == verdict, "a program returned {} in place of {verdict}", run.value);
        Ok(run)
    }
}
