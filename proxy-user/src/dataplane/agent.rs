//! What a dataplane says of itself in the map AGENT, so that others can tell whether anybody is at work here.

use crate::engine::SyncReport;
use proxy_common::abi::{AgentEntry, AgentFlags};
use rustix::time::{ClockId, clock_gettime};

/// The entry of a process that starts now, and whose maps may take `map_memory` bytes. What a former one has said of its
/// work is no more said.
pub(super) fn started(map_memory: u64) -> AgentEntry {
    AgentEntry { pid: u64::from(std::process::id()), started: now(), map_memory, ..AgentEntry::default() }
}

/// The entry after a sync; `complete` where all is known that is in the cluster.
pub(super) fn synced(before: AgentEntry, report: &SyncReport, complete: bool) -> AgentEntry {
    let now = now();
    let wrote = report.stores + report.puts + report.deletes + report.prefixes > 0;
    let first_list = complete && !before.flags.contains(AgentFlags::COMPLETE);
    AgentEntry {
        synced: now,
        changed: if wrote { now } else { before.changed },
        listed: if first_list { now } else { before.listed },
        flags: if complete { before.flags.union(AgentFlags::COMPLETE) } else { before.flags },
        ..before
    }
}

/// Nanoseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps and which nobody sets.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sync_tells_what_it_did() {
        let start = started(64 << 20);
        assert_eq!((start.pid, start.synced, start.listed), (u64::from(std::process::id()), 0, 0));
        let idle = synced(start, &SyncReport::default(), false);
        assert!(idle.synced >= start.started && idle.changed == 0 && idle.listed == 0);
        let filled = synced(idle, &SyncReport { stores: 1, ..SyncReport::default() }, true);
        assert!(filled.changed >= idle.synced && filled.listed == filled.changed);
        assert!(filled.flags.contains(AgentFlags::COMPLETE));
        let later = synced(filled, &SyncReport::default(), true);
        assert_eq!((later.changed, later.listed), (filled.changed, filled.listed));
        assert_eq!((later.pid, later.started), (start.pid, start.started));
        assert_eq!(later.map_memory, 64 << 20);
    }
}
