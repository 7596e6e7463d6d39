//! Whether a list may delete what it does not name. Pure: it is told counts and what time it is.
//!
//! A server that has lost its etcd, or a proxy before it that answers for it, can send a list that is short or
//! empty and otherwise well-formed. To believe it would end every connection of the node.

use std::time::{Duration, Instant};

/// Fewer deletions than this are believed whatever their share, so that a cluster of three Services is
/// not held up; an empty list never is.
const FEW: usize = 5;

/// Deletions that were held back, and since when.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    percent: u8,
    confirm_after: Duration,
    since: Option<Instant>,
}

/// What a complete list may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Delete what it does not name.
    Apply,
    /// Delete nothing yet; another list is due at that moment.
    Hold(Instant),
    /// It says what an earlier one said: delete what neither names.
    Confirmed,
}

impl Guard {
    /// Holds back a list that deletes more than `percent` of what was there, until one at least `confirm_after`
    /// later says so too. 100 percent and more, or no time: believes everything.
    pub(super) const fn new(percent: u8, confirm_after: Duration) -> Self {
        Self { percent, confirm_after, since: None }
    }

    /// Judges a list by what was there before it and what it has left of that.
    pub(super) fn judge(&mut self, before: usize, gone: usize, after: usize, now: Instant) -> Verdict {
        if !self.suspects(before, gone, after) {
            self.since = None;
            return Verdict::Apply;
        }
        let due = *self.since.get_or_insert(now) + self.confirm_after;
        if now < due {
            return Verdict::Hold(due);
        }
        self.since = None;
        Verdict::Confirmed
    }

    /// When a second list is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.confirm_after)
    }

    /// An operator has decided.
    pub(super) const fn clear(&mut self) {
        self.since = None;
    }

    fn suspects(&self, before: usize, gone: usize, after: usize) -> bool {
        if self.percent >= 100 || self.confirm_after.is_zero() || gone == 0 {
            return false;
        }
        after == 0 || gone >= FEW && gone.saturating_mul(100) > before.saturating_mul(self.percent.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    #[test]
    fn what_is_held_back() {
        // Percent, before, gone, after; held.
        let table = [
            (50, 0, 0, 0, false),
            (50, 100, 0, 100, false),
            (50, 100, 50, 50, false),
            (50, 100, 51, 49, true),
            (50, 100, 60, 400, true),
            (50, 3, 2, 1, false),
            (50, 5, 5, 1, true),
            (50, 1, 1, 0, true),
            (50, 10_000, 10_000, 0, true),
            (0, 100, 5, 95, true),
            (0, 100, 4, 96, false),
            (99, 100, 99, 1, false),
            (99, 100, 100, 0, true),
            (100, 100, 100, 0, false),
            (255, usize::MAX, usize::MAX, 0, false),
        ];
        let now = Instant::now();
        for (percent, before, gone, after, held) in table {
            let verdict = Guard::new(percent, AFTER).judge(before, gone, after, now);
            let expected = if held { Verdict::Hold(now + AFTER) } else { Verdict::Apply };
            assert_eq!(verdict, expected, "{percent} %: {gone} of {before}, {after} left");
        }
    }

    #[test]
    fn a_second_list_confirms_but_only_after_a_while() {
        let start = Instant::now();
        let mut guard = Guard::new(50, AFTER);
        let due = start + AFTER;
        assert_eq!(guard.judge(10, 10, 0, start), Verdict::Hold(due));
        assert_eq!(guard.judge(10, 9, 1, start + AFTER / 2), Verdict::Hold(due));
        assert_eq!(guard.due(), Some(due));
        assert_eq!(guard.judge(10, 10, 0, due), Verdict::Confirmed);
        assert_eq!(guard.due(), None);
        assert_eq!(guard.judge(10, 10, 0, due), Verdict::Hold(due + AFTER));
    }

    #[test]
    fn a_confirmation_that_is_due_at_once_is_none() {
        assert_eq!(Guard::new(50, Duration::ZERO).judge(10, 10, 0, Instant::now()), Verdict::Apply);
    }

    #[test]
    fn a_list_beyond_suspicion_and_an_operator_both_end_it() {
        let start = Instant::now();
        let mut guard = Guard::new(50, AFTER);
        guard.judge(10, 10, 0, start);
        assert_eq!(guard.judge(10, 0, 10, start), Verdict::Apply);
        assert_eq!(guard.due(), None);
        guard.judge(10, 10, 0, start);
        guard.clear();
        assert_eq!(guard.due(), None);
        let later = start + AFTER * 2;
        assert_eq!(guard.judge(10, 10, 0, later), Verdict::Hold(later + AFTER));
    }
}
