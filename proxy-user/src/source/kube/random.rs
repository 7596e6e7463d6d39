//! Random numbers for jitter: SplitMix64. Spreading clients over a window needs no more, and a test that gives
//! the seed sees the same waits again.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// A sequence of pseudo-random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random {
    word: u64,
    /// Durations are drawn; otherwise each is the longest.
    jitter: bool,
}

impl Random {
    /// The sequence of a seed.
    pub(super) const fn seeded(seed: u64) -> Self {
        Self { word: seed, jitter: true }
    }

    /// A sequence that no other process has: std seeds its hash maps by the kernel's random numbers.
    pub(super) fn fresh() -> Self {
        Self::seeded(RandomState::new().hash_one(0))
    }

    /// The same sequence, or one whose durations are always the longest: what many clients do in step without jitter.
    pub(super) const fn with_jitter(self, jitter: bool) -> Self {
        Self { jitter, ..self }
    }

    /// Another sequence, with as much jitter.
    pub(super) const fn child(&mut self) -> Self {
        Self { word: self.fork(), jitter: self.jitter }
    }

    /// The seed of another sequence.
    pub(super) const fn fork(&mut self) -> u64 {
        self.word = self.word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.word;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Any duration up to `most`, all equally likely.
    pub(super) fn up_to(&mut self, most: Duration) -> Duration {
        if !self.jitter {
            return most;
        }
        // 53 bits are what a double holds: [0, 1).
        let share = (self.fork() >> 11) as f64 / (1_u64 << 53) as f64;
        most.mul_f64(share)
    }

    /// A number below `bound`; zero where that is zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        usize::try_from(self.fork().checked_rem(bound).unwrap_or(0)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_cover_their_window_evenly_and_never_leave_it() {
        let mut random = Random::seeded(7);
        let window = Duration::from_secs(8);
        let mut eighths = [0; 8];
        for _ in 0..8_000 {
            let drawn = random.up_to(window);
            assert!(drawn < window);
            eighths[usize::try_from(drawn.as_secs()).unwrap()] += 1;
        }
        assert!(eighths.iter().all(|count| (850..1_150).contains(count)), "{eighths:?}");
        assert_eq!(random.up_to(Duration::ZERO), Duration::ZERO);
        assert_eq!(random.below(0), 0);
        assert!((0..100).all(|_| random.below(3) < 3));
    }

    #[test]
    fn without_jitter_everybody_waits_the_longest() {
        let window = Duration::from_secs(8);
        let mut random = Random::seeded(7).with_jitter(false).child();
        assert!((0..10).all(|_| random.up_to(window) == window));
    }

    #[test]
    fn a_seed_is_a_sequence() {
        let draw = |seed| {
            let mut random = Random::seeded(seed);
            [(); 4].map(|()| random.fork())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(Random::fresh().fork(), Random::fresh().fork());
    }
}
