//! When a burst of file events is over. Pure: it is told what happened and what time it is.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A burst is over when nothing happened for so long …
const QUIET: Duration = Duration::from_millis(20);
/// … and at the latest so long after it began.
const LONGEST: Duration = Duration::from_millis(200);

/// A burst of changes to files.
pub(super) struct Burst {
    began: Instant,
    last: Instant,
    /// Files that were written to and not closed since. A file that an editor truncated and has not
    /// filled yet would read as a file without objects.
    open: HashSet<PathBuf>,
}

/// What a file event means to a burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Content was written; the writer has not closed the file.
    Written,
    /// The writer closed the file, or something else took its place.
    Complete,
}

impl Burst {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, last: now, open: HashSet::new() }
    }

    /// Something happened to a file.
    pub(super) fn saw(&mut self, change: Change, path: &Path, now: Instant) {
        self.last = now;
        match change {
            Change::Written => {
                self.open.insert(path.to_owned());
            }
            Change::Complete => {
                self.open.remove(path);
            }
        }
    }

    /// How long to wait for more; `None` when the burst is over.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let longest = self.began + LONGEST;
        let end = if self.open.is_empty() { longest.min(self.last + QUIET) } else { longest };
        end.checked_duration_since(now).filter(|rest| !rest.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_ends_when_it_is_quiet_and_nothing_is_half_written() {
        let (start, file) = (Instant::now(), Path::new("a.yaml"));
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let left = |burst: &Burst, now| burst.wait(at(now)).map_or(0, |rest| rest.as_millis());

        let mut burst = Burst::new(start);
        burst.saw(Change::Complete, file, start);
        assert_eq!((left(&burst, 0), left(&burst, 15), left(&burst, 20)), (20, 5, 0));

        burst.saw(Change::Written, file, at(15));
        assert_eq!((left(&burst, 15), left(&burst, 199), left(&burst, 200)), (185, 1, 0));
        burst.saw(Change::Complete, file, at(30));
        assert_eq!((left(&burst, 30), left(&burst, 50)), (20, 0));

        for now in (30..190).step_by(10) {
            burst.saw(Change::Complete, file, at(now));
            assert_eq!(left(&burst, now), (200 - u128::from(now)).min(20));
        }
        assert_eq!(left(&burst, 300), 0);
    }
}
