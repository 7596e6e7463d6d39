//! How many problems are told. Pure: it is told what time it is.

use super::problem::{About, Problem};
use crate::source::Severity;
use std::time::{Duration, Instant};

/// So many of one sort may come at once …
const BURST: u32 = 20;
/// … and then one in so long.
const INTERVAL: Duration = Duration::from_secs(10);

/// Lets problems through, sort by sort, and counts those that it does not.
#[derive(Debug)]
pub(super) struct Limiter {
    buckets: [Bucket; 5],
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: u32,
    refilled: Instant,
    dropped: u64,
}

impl Limiter {
    pub(super) fn new(now: Instant) -> Self {
        Self { buckets: [Bucket { left: BURST, refilled: now, dropped: 0 }; 5] }
    }

    /// The problem, if it may be told; with a note of how many were not told before it.
    pub(super) fn pass(&mut self, mut problem: Problem, now: Instant) -> Option<Problem> {
        // What is held back is told each time: it waits for a decision.
        let index = match problem.about {
            About::Field => 0,
            About::Object => 1,
            About::Server => 2,
            About::Access => 3,
            About::HeldBack => return Some(problem),
        };
        let bucket = &mut self.buckets[index];
        let elapsed = now.saturating_duration_since(bucket.refilled);
        let new = u32::try_from(elapsed.as_millis() / INTERVAL.as_millis()).unwrap_or(u32::MAX);
        if new > 0 {
            bucket.left = bucket.left.saturating_add(new).min(BURST);
            bucket.refilled = now;
        }
        // That something is over is told whatever was before.
        if bucket.left == 0 && problem.severity > Severity::Info {
            bucket.dropped += 1;
            return None;
        }
        bucket.left = bucket.left.saturating_sub(1);
        if bucket.dropped > 0 {
            problem.text = format!("{} ({} more like this were not told)", problem.text, bucket.dropped);
            bucket.dropped = 0;
        }
        Some(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(about: About) -> Problem {
        Problem::new(Severity::Warning, about, "it failed")
    }

    #[test]
    fn a_flood_is_cut_and_counted_sort_by_sort() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let told = (0..1_000).filter_map(|_| limiter.pass(problem(About::Server), start)).count();
        assert_eq!(told, 20);
        assert!(limiter.pass(problem(About::Object), start).is_some());
        assert!(limiter.pass(problem(About::HeldBack), start).is_some());
        assert!(limiter.pass(problem(About::Server), start + INTERVAL / 2).is_none());
        let next = limiter.pass(problem(About::Server), start + INTERVAL).unwrap();
        assert_eq!(next.text, "it failed (981 more like this were not told)");
        assert!(limiter.pass(problem(About::Server), start + INTERVAL).is_none());
        let over = Problem::new(Severity::Info, About::Server, "it answers again");
        assert!(limiter.pass(over, start + INTERVAL).is_some());
    }
}
