//! How often Events are written. Pure: it is told what time it is.

use super::{About, Notice};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The same Event is not written again for so long: `kubectl describe` shows the first one meanwhile.
const SAME: Duration = Duration::from_secs(600);
/// Events about one object: so many at once …
const OBJECT_BURST: u32 = 5;
/// … and one more each time so long has passed. What client-go allows, with a smaller burst.
const OBJECT_EVERY: Duration = Duration::from_secs(300);
/// Events of this node, about whatever objects: so many at once …
const NODE_BURST: u32 = 25;
/// … and one more each time so long has passed. A thousand nodes that meet the same trouble write 100 a second.
const NODE_EVERY: Duration = Duration::from_secs(10);

/// A token bucket.
struct Bucket {
    left: u32,
    /// When the last token was added.
    filled: Instant,
}

impl Bucket {
    fn fill(&mut self, now: Instant, burst: u32, every: Duration) {
        while self.left < burst && now.saturating_duration_since(self.filled) >= every {
            (self.left, self.filled) = (self.left + 1, self.filled + every);
        }
        if self.left == burst {
            self.filled = now;
        }
    }
}

/// Which Events may be written.
pub(super) struct Limit {
    node: Bucket,
    objects: HashMap<About, Bucket>,
    written: HashMap<Notice, Instant>,
}

impl Limit {
    pub(super) fn new(now: Instant) -> Self {
        let node = Bucket { left: NODE_BURST, filled: now };
        Self { node, objects: HashMap::new(), written: HashMap::new() }
    }

    /// Whether this one may be written now; it is then counted as written.
    pub(super) fn admit(&mut self, notice: &Notice, now: Instant) -> bool {
        self.forget(now);
        if self.written.contains_key(notice) {
            return false;
        }
        self.node.fill(now, NODE_BURST, NODE_EVERY);
        let object =
            self.objects.entry(notice.about.clone()).or_insert(Bucket { left: OBJECT_BURST, filled: now });
        object.fill(now, OBJECT_BURST, OBJECT_EVERY);
        if self.node.left == 0 || object.left == 0 {
            return false;
        }
        (self.node.left, object.left) = (self.node.left - 1, object.left - 1);
        self.written.insert(notice.clone(), now);
        true
    }

    /// Forgets what no longer limits anything, so that memory follows the last minutes.
    fn forget(&mut self, now: Instant) {
        self.written.retain(|_, written| now.saturating_duration_since(*written) < SAME);
        self.objects.retain(|_, bucket| {
            bucket.fill(now, OBJECT_BURST, OBJECT_EVERY);
            bucket.left < OBJECT_BURST
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::ObjectName, recorder::Reason};

    fn about(service: usize, note: &str) -> Notice {
        let name = ObjectName { namespace: "default".into(), name: format!("s{service}").into() };
        Notice::service(&name, Reason::MapFull, note)
    }

    #[test]
    fn the_same_event_is_written_once_in_ten_minutes() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut admitted = |seconds| limit.admit(&about(1, "full"), at(seconds));
        assert_eq!([0, 1, 599, 600, 601].map(&mut admitted), [true, false, false, true, false]);
    }

    #[test]
    fn an_object_has_five_at_once_and_one_more_every_five_minutes() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut admitted = |seconds: u64, notes: std::ops::Range<u32>| {
            let now = start + Duration::from_secs(seconds);
            notes.filter(|note| limit.admit(&about(1, &note.to_string()), now)).count()
        };
        assert_eq!(admitted(0, 0..10), 5);
        assert_eq!(admitted(299, 10..20), 0);
        assert_eq!(admitted(300, 20..30), 1);
        assert_eq!(admitted(1_000, 30..40), 2);
        assert_eq!(admitted(100_000, 40..50), 5, "no more than the burst, however long it was quiet");
    }

    #[test]
    fn a_node_has_twenty_five_at_once_and_one_more_every_ten_seconds() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut admitted = |seconds: u64, services: std::ops::Range<usize>| {
            let now = start + Duration::from_secs(seconds);
            services.filter(|&service| limit.admit(&about(service, "full"), now)).count()
        };
        assert_eq!(admitted(0, 0..100), 25);
        assert_eq!(admitted(9, 100..200), 0);
        assert_eq!(admitted(40, 200..300), 4);
    }

    #[test]
    fn memory_follows_the_last_minutes() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        for number in 0..10_000_u64 {
            limit.admit(&about(number as usize, "full"), start + Duration::from_secs(number * 10));
        }
        assert!(limit.written.len() <= 61 && limit.objects.len() <= 61);
    }
}
