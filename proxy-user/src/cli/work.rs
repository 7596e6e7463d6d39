//! How old what an agent has done is, by what it says of itself in AGENT.

use proxy_common::abi::AgentEntry;
use rustix::time::{ClockId, clock_gettime};
use std::{fmt, time::Duration};

/// How old what the agent has done is; `None` for never.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub started: Option<Duration>,
    pub listed: Option<Duration>,
    pub synced: Option<Duration>,
    pub changed: Option<Duration>,
}

impl Work {
    /// As it is now.
    pub fn now(entry: &AgentEntry) -> Self {
        Self::new(entry, now())
    }

    fn new(entry: &AgentEntry, now: u64) -> Self {
        let age = |at: u64| (at > 0).then(|| Duration::from_nanos(now.saturating_sub(at)));
        let AgentEntry { started, listed, synced, changed, .. } = *entry;
        Self { started: age(started), listed: age(listed), synced: age(synced), changed: age(changed) }
    }

    /// The last time that it is known to have done anything.
    pub fn last(&self) -> Option<Duration> {
        self.synced.or(self.started)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ages = [
            ("started", self.started),
            ("first complete list", self.listed),
            ("last sync", self.synced),
            ("last change", self.changed),
        ];
        let shown = ages.map(|(what, age)| format!("{what} {}", age.map_or_else(|| "never".to_owned(), ago)));
        f.write_str(&shown.join(", "))
    }
}

/// `3 s ago`, `5 min ago`.
pub fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Nanoseconds of CLOCK_BOOTTIME, as AGENT has them.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_unit_that_fits() {
        let of = |seconds| ago(Duration::from_secs(seconds));
        assert_eq!([of(3), of(119), of(120)], ["3 s ago", "119 s ago", "2 min ago"]);
        assert_eq!([of(7_300), of(172_800)], ["2 h ago", "2 days ago"]);
    }

    #[test]
    fn what_was_never_done_has_no_age() {
        let second = 1_000_000_000;
        let work = Work::new(&AgentEntry { started: second, ..AgentEntry::default() }, 6 * second);
        assert_eq!((work.started, work.listed), (Some(Duration::from_secs(5)), None));
        assert_eq!(work.last(), work.started);
    }
}
