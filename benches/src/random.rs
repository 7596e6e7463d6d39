//! Numbers without a pattern, the same in every run.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        // The high word of the product is uniform over 0..bound.
        (((word >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Puts values into any order (Fisher, Yates).
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_keeps_every_value_and_not_its_place() {
        let mut values: Vec<u32> = (0..1_000).collect();
        Random::new(1).shuffle(&mut values);
        assert!((0..).zip(&values).filter(|(place, value)| place == *value).count() < 20);
        values.sort_unstable();
        assert_eq!(values, (0..1_000).collect::<Vec<_>>());
    }
}
