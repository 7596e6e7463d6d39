//! Who answered how often.

use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

/// The longest that one question of many waits.
pub(super) const ONE: Duration = Duration::from_secs(2);

/// The longest that many questions take together.
pub(super) const ALL: Duration = Duration::from_secs(30);

/// The outcome of many questions.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many answers each server gave, by its name.
    pub answers: BTreeMap<String, usize>,
    /// Every question that got no answer. A last `TimedOut` "not asked" stands for those that were not asked
    /// because time was up.
    pub errors: Vec<io::Error>,
}

impl Tally {
    /// How many questions were answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.answers.values().sum()
    }

    /// Asks `count` times, but starts no question once `limit` has passed.
    pub(super) fn take(count: usize, limit: Duration, mut ask: impl FnMut() -> io::Result<String>) -> Self {
        let end = Instant::now() + limit;
        let mut tally = Self::default();
        for asked in 0..count {
            if Instant::now() >= end {
                let left = count - asked;
                let text = format!("{left} of {count} not asked within {limit:?}");
                tally.errors.push(io::Error::new(io::ErrorKind::TimedOut, text));
                break;
            }
            match ask() {
                Ok(name) => *tally.answers.entry(name).or_default() += 1,
                Err(error) => tally.errors.push(error),
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_names_and_keeps_errors() {
        let mut answers = [Ok("a"), Err(io::ErrorKind::ConnectionRefused), Ok("b"), Ok("a")].into_iter();
        let tally = Tally::take(4, ALL, || Ok(answers.next().unwrap()?.to_owned()));
        assert_eq!(tally.answers, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        assert_eq!(tally.answered(), 3);
        assert_eq!(tally.errors.len(), 1);
    }

    #[test]
    fn it_ends_in_time() {
        let tally = Tally::take(usize::MAX, Duration::from_millis(20), || Ok("a".to_owned()));
        assert_eq!(tally.errors[0].kind(), io::ErrorKind::TimedOut);
        assert!(tally.answered() > 0);
    }
}
