//! Sees what the kernel has, as it comes to have it.

use super::{Peer, Site, tracker::Tracker};
use crate::nftables::Listener;
use anyhow::{Context as _, Result};
use shunt::{kernel::PinnedMaps, view::decode, writer::MapReader as _};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU64,
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks at maps, while something is under way: long enough to leave the processors to those that
/// work, short beside what is measured.
const PAUSE: Duration = Duration::from_micros(20);

/// The longest wait before the end of a run is noticed.
const WAIT: Duration = Duration::from_millis(100);

/// Tells the tracker of what a proxy programs, until it is closed. `ready` is told before anything can be missed.
///
/// # Errors
/// Where the maps cannot be read, or a notification is lost.
pub fn follow(site: &Site, tracker: &Tracker, ready: impl FnOnce() + Send) -> Result<()> {
    match site.peer() {
        Peer::Shunt => follow_maps(&PinnedMaps::read_only(&site.pin_path())?, tracker, ready),
        Peer::KubeProxy => site.namespace().run(|| follow_commits(tracker, ready))?,
    }
}

/// Looks at the sets of those services that have an update under way, in the mapped arrays.
fn follow_maps(maps: &PinnedMaps, tracker: &Tracker, ready: impl FnOnce()) -> Result<()> {
    // Otherwise a sleep takes 50 us longer than it is told.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).context("PR_SET_TIMERSLACK")?;
    let mut indices = HashMap::new();
    for port in decode(maps)? {
        if let Some(id) = port.id {
            indices.insert(id.service.name.to_string(), port.index);
        }
    }
    ready();
    while !tracker.is_closed() {
        for update in tracker.outstanding(WAIT) {
            let Some(index) = indices.get(&format!("service-{}", update.service)) else { continue };
            if leads_to(maps, *index, update.address) {
                tracker.programmed(update.address, Instant::now());
            }
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Whether a service's set has an endpoint of this address: what a connect() would choose from.
fn leads_to(maps: &PinnedMaps, service: u32, address: Ipv4Addr) -> bool {
    let set = maps.service(service).unwrap_or_default().cluster;
    let mut slots = set.base()..set.base() + set.count();
    slots.any(|slot| {
        let backend = maps.slot(slot).and_then(|slot| maps.backend(slot.index()));
        backend.is_some_and(|backend| backend.address.to_ip() == IpAddr::V4(address))
    })
}

/// Hears of the elements of new maps: kube-proxy writes a service's choice of endpoints anew, as a map in a rule.
fn follow_commits(tracker: &Tracker, ready: impl FnOnce()) -> Result<()> {
    let mut listener = Listener::open()?;
    ready();
    while !tracker.is_closed() {
        listener.next(WAIT, |value, at| {
            if let Some(octets) = value.first_chunk::<4>() {
                tracker.programmed(Ipv4Addr::from_octets(*octets), at);
            }
        })?;
    }
    Ok(())
}
