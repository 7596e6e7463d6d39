//! Allocator of single indices: of BACKENDS and of SERVICES.

/// A pool of indices below a capacity.
#[derive(Debug)]
pub(super) struct Pool {
    capacity: u32,
    /// Indices from here on were never used.
    fresh: u32,
    /// Indices below `fresh` that are free, the next one last.
    free: Vec<u32>,
}

impl Pool {
    /// All indices free.
    pub const fn new(capacity: u32) -> Self {
        Self { capacity, fresh: 0, free: Vec::new() }
    }

    /// A pool in which exactly the given indices are in use.
    pub fn with_used(capacity: u32, mut is_used: impl FnMut(u32) -> bool) -> Self {
        let fresh = (0..capacity).rev().find(|i| is_used(*i)).map_or(0, |last| last + 1);
        let free = (0..fresh).rev().filter(|i| !is_used(*i)).collect();
        Self { capacity, fresh, free }
    }

    /// Room for more indices; those that were given stay as they are.
    pub const fn grow(&mut self, capacity: u32) {
        if capacity > self.capacity {
            self.capacity = capacity;
        }
    }

    /// Takes an index.
    pub fn allocate(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| {
            (self.fresh < self.capacity).then(|| {
                self.fresh += 1;
                self.fresh - 1
            })
        })
    }

    /// Gives an index back.
    pub fn release(&mut self, index: u32) {
        self.free.push(index);
    }

    /// How many indices [`Self::allocate`] can still give.
    pub fn available(&self) -> u32 {
        self.capacity - self.fresh + self.free.len() as u32
    }

    /// Indices in use, quarantined ones included.
    pub fn used(&self) -> u32 {
        self.fresh - self.free.len() as u32
    }

    /// Indices in all.
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rebuilt_pool_gives_every_free_index_once() {
        let mut pool = Pool::with_used(6, |i| i == 1 || i == 3);
        assert_eq!((pool.used(), pool.available()), (2, 4));
        let mut given: Vec<_> = std::iter::from_fn(|| pool.allocate()).collect();
        given.sort_unstable();
        assert_eq!(given, [0, 2, 4, 5]);
        pool.release(4);
        assert_eq!(pool.allocate(), Some(4));
    }

    proptest! {
        /// A pool that has grown gives what one that was made as large would give.
        #[test]
        fn a_grown_pool_is_one_that_was_made_larger(
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..40),
            before in 0_u32..24,
            more in 0_u32..24,
        ) {
            let (mut grown, mut large, mut held) = (Pool::new(before), Pool::new(before + more), Vec::new());
            for (take, which) in steps {
                if take {
                    let Some(index) = grown.allocate() else { continue };
                    prop_assert_eq!(large.allocate(), Some(index));
                    held.push(index);
                } else if !held.is_empty() {
                    let index = held.swap_remove(which.index(held.len()));
                    grown.release(index);
                    large.release(index);
                }
            }
            grown.grow(before + more);
            grown.grow(before);
            prop_assert_eq!((grown.used(), grown.available()), (large.used(), large.available()));
            let rest = |pool: &mut Pool| std::iter::from_fn(|| pool.allocate()).collect::<Vec<_>>();
            prop_assert_eq!(rest(&mut grown), rest(&mut large));
        }
    }
}
