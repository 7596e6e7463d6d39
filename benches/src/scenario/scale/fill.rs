//! When a proxy that has just been started has programmed the whole cluster, and whether it did.

use super::{Peer, Site};
use crate::{cluster::SampleCluster, nftables};
use anyhow::{Context as _, Result, ensure};
use shunt::{
    kernel::PinnedMaps,
    lab::run as run_program,
    view::{PortView, decode},
    writer::MapReader as _,
};
use std::{
    collections::BTreeSet,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// How long a fill may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Pauses between two looks: ten times as long as the look took, so that looking stays below a tenth of one processor,
/// but no longer than this. One that meets a commit of nf_tables waits for its end.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(100)];

/// Part of the names of all namespaces of a sample cluster.
const NAMESPACES: &str = "team-";

/// Spans from the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Filled {
    /// A Service has an entry with endpoints.
    pub first: Duration,
    /// Every Service has.
    pub last: Duration,
}

/// Waits for the first Service and for the last.
///
/// # Errors
/// Where the proxy ends, or is not done within five minutes.
pub fn wait(site: &mut Site, cluster: &SampleCluster) -> Result<Filled> {
    let (start, mut first, mut maps) = (site.started(), None, None);
    loop {
        let before = Instant::now();
        let count = match site.peer() {
            Peer::Shunt => count_pinned(site, &mut maps, cluster)?,
            Peer::KubeProxy => site.namespace().run(|| nftables::count_services(NAMESPACES))??,
        };
        let now = Instant::now();
        if count > 0 {
            first.get_or_insert(now - start);
        }
        if let Some(first) = first
            && count >= cluster.services() as usize
        {
            return Ok(Filled { first, last: now - start });
        }
        site.expect_alive()?;
        ensure!(now - start < LIMIT, "{count} Services programmed after {LIMIT:?}\n{}", site.log());
        thread::sleep(((now - before) * 10).clamp(PAUSES[0], PAUSES[1]));
    }
}

/// Services with a frontend that leads to all endpoints.
fn count_pinned(site: &Site, maps: &mut Option<PinnedMaps>, cluster: &SampleCluster) -> Result<usize> {
    if maps.is_none() {
        // Until all are pinned, some are missing.
        *maps = PinnedMaps::read_only(&site.pin_path()).ok();
    }
    let Some(maps) = maps else { return Ok(0) };
    let indices: BTreeSet<u32> = maps.frontends()?.iter().map(|(_, value)| value.service).collect();
    let is_whole =
        |index: &u32| maps.service(*index).is_some_and(|s| s.cluster.count() == cluster.endpoints());
    Ok(indices.into_iter().filter(is_whole).count())
}

/// Fails unless every Service is there with all of its endpoints: a figure about half a cluster would be a lie.
///
/// # Errors
/// See above.
pub fn verify(site: &Site, cluster: &SampleCluster) -> Result<()> {
    let (services, endpoints) = (cluster.services() as usize, cluster.endpoints() as usize);
    let whole = match site.peer() {
        Peer::Shunt => {
            let ports = decode(&PinnedMaps::read_only(&site.pin_path())?)?;
            let is_whole = |port: &&PortView| {
                let id = port.id.as_ref();
                let is_ours = id.is_some_and(|id| id.service.namespace.starts_with(NAMESPACES));
                is_ours && port.frontends.len() == 1 && port.cluster.len() == endpoints
            };
            ports.iter().filter(is_whole).count()
        }
        Peer::KubeProxy => {
            let mut nft = Command::new("nft");
            nft.args(["list", "table", "ip", "kube-proxy"]);
            let output = run_program(site.namespace(), &mut nft, Duration::from_secs(120)).context("nft")?;
            let choice = format!("numgen random mod {endpoints} map");
            String::from_utf8_lossy(&output.stdout).matches(&choice).count()
        }
    };
    ensure!(
        whole == services,
        "{whole} of {services} Services are programmed with all endpoints\n{}",
        site.log()
    );
    Ok(())
}
