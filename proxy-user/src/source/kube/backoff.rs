//! How long to wait before a failed request is tried again. Pure: the random numbers are a parameter.

use super::random::Random;
use std::time::Duration;

/// Exponential backoff with full jitter: any wait between nothing and a ceiling, which doubles with each failure
/// until it is the cap. Where all nodes lose the API server in one moment, this spreads them evenly; a wait
/// with a fixed part would let them come back in waves.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    base: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// The first ceiling, and the last.
    pub(super) const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, failures: 0 }
    }

    /// Failures in a row.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// The server did what was asked.
    pub(super) const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// One more failure: how long to wait. Never shorter than the server asks for by Retry-After, which is jittered
    /// on top: it sends the same number to everybody.
    pub(super) fn failed(&mut self, retry_after: Option<Duration>, random: &mut Random) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(factor).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        // A server that sends us away for a day is not believed: what changes meanwhile would be lost on it.
        let least = retry_after.unwrap_or_default().min(self.cap * 4);
        least + random.up_to(ceiling)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const CAP: Duration = Duration::from_secs(30);

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_success_lowers_it() {
        let mut backoff = Backoff::new(BASE, CAP);
        let mut random = Random::seeded(1);
        for ceiling in [1, 2, 4, 8, 16, 30, 30, 30] {
            let before = backoff.clone();
            let drawn = (0..500).map(|_| before.clone().failed(None, &mut random));
            let longest = drawn.max().unwrap();
            let ceiling = Duration::from_secs(ceiling);
            assert!(longest < ceiling && longest > ceiling * 9 / 10, "{longest:?} of {ceiling:?}");
            backoff.failed(None, &mut random);
        }
        for _ in 0..100 {
            assert!(backoff.failed(None, &mut random) < CAP);
        }
        backoff.succeeded();
        assert!(backoff.failed(None, &mut random) < BASE);
        assert_eq!(backoff.failures(), 1);
    }

    #[test]
    fn the_jitter_is_full_so_many_clients_do_not_come_at_once() {
        let mut random = Random::seeded(2);
        // 200 clients whose server has failed them four times: the ceiling is eight seconds.
        let mut seconds = [0; 8];
        for _ in 0..200 {
            let mut backoff = Backoff::new(BASE, CAP);
            let wait = (0..4).map(|_| backoff.failed(None, &mut random)).last().unwrap();
            seconds[usize::try_from(wait.as_secs()).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|count| *count < 45), "{seconds:?}");
    }

    #[test]
    fn retry_after_is_a_floor_within_reason() {
        let mut random = Random::seeded(3);
        for (asked, least, most) in [(5, 5, 6), (60, 60, 61), (86_400, 120, 121), (0, 0, 1)] {
            for _ in 0..50 {
                let wait = Backoff::new(BASE, CAP).failed(Some(Duration::from_secs(asked)), &mut random);
                assert!(wait >= Duration::from_secs(least) && wait < Duration::from_secs(most), "{wait:?}");
            }
        }
    }
}
