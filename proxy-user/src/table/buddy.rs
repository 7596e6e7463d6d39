//! Allocator of slot ranges and name cells: powers of two, split and merged as a buddy system, so
//! that freed ranges of one size serve any other size again.

use std::collections::BTreeSet;

/// A range of `1 << order` cells from `base` on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Block {
    pub base: u32,
    pub order: u32,
}

impl Block {
    /// Number of cells.
    pub const fn len(self) -> u32 {
        1 << self.order
    }
}

/// The order of the smallest block that holds `cells` cells.
pub(super) const fn order_for(cells: u32) -> u32 {
    if cells <= 1 { 0 } else { u32::BITS - (cells - 1).leading_zeros() }
}

/// A buddy allocator over a power of two of cells. Lowest base first.
#[derive(Debug)]
pub(super) struct Buddy {
    /// Free blocks by order.
    free: Vec<BTreeSet<u32>>,
    free_cells: u32,
    cells: u32,
}

impl Buddy {
    /// All of `cells` free; rounded down to a power of two.
    pub fn new(cells: u32) -> Self {
        let top = if cells == 0 { 0 } else { cells.ilog2() };
        let mut free = vec![BTreeSet::new(); top as usize + 1];
        let cells = if cells == 0 { 0 } else { 1 << top };
        if cells > 0 {
            free[top as usize].insert(0);
        }
        Self { free, free_cells: cells, cells }
    }

    /// Room for more cells, rounded down to a power of two; blocks that were given stay where they are.
    pub fn grow(&mut self, cells: u32) {
        if cells == 0 || 1 << cells.ilog2() <= self.cells {
            return;
        }
        if self.cells == 0 {
            *self = Self::new(cells);
            return;
        }
        let (before, top) = (self.cells.ilog2(), cells.ilog2());
        self.free.resize_with(top as usize + 1, BTreeSet::new);
        self.cells = 1 << top;
        // What lies above the former end is one block of each order from the former size on.
        (before..top).for_each(|order| self.release(Block { base: 1 << order, order }));
    }

    /// Takes the lowest free block of `order`, splitting a larger one if need be.
    pub fn allocate(&mut self, order: u32) -> Option<Block> {
        let from = (order as usize..self.free.len()).find(|o| !self.free[*o].is_empty())?;
        let base = self.free[from].pop_first()?;
        for split in (order as usize..from).rev() {
            self.free[split].insert(base + (1 << split));
        }
        self.free_cells -= 1 << order;
        Some(Block { base, order })
    }

    /// Takes exactly this block, if it is free: for ranges that a former agent programmed.
    pub fn reserve(&mut self, block: Block) -> bool {
        let top = self.free.len() as u32;
        let fits = block.order < top && block.base.is_multiple_of(block.len());
        let holder = (block.order..top)
            .map(|order| Block { base: block.base & !((1 << order) - 1), order })
            .find(|b| self.free[b.order as usize].contains(&b.base));
        let (true, Some(mut holder)) = (fits, holder) else { return false };
        self.free[holder.order as usize].remove(&holder.base);
        while holder.order > block.order {
            let order = holder.order - 1;
            let upper = holder.base + (1 << order);
            let (keep, other) = if block.base >= upper { (upper, holder.base) } else { (holder.base, upper) };
            self.free[order as usize].insert(other);
            holder = Block { base: keep, order };
        }
        self.free_cells -= block.len();
        true
    }

    /// Gives a block back and merges it with its free buddies.
    pub fn release(&mut self, block: Block) {
        self.free_cells += block.len();
        let Block { mut base, mut order } = block;
        while (order as usize) + 1 < self.free.len()
            && self.free[order as usize].remove(&(base ^ (1 << order)))
        {
            base &= !(1 << order);
            order += 1;
        }
        self.free[order as usize].insert(base);
    }

    /// Cells in use.
    pub const fn used(&self) -> u32 {
        self.cells - self.free_cells
    }

    /// Cells in all.
    pub const fn capacity(&self) -> u32 {
        self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn orders() {
        let orders = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1000, 10), (1024, 10), (1025, 11)];
        for (cells, order) in orders {
            assert_eq!(order_for(cells), order, "{cells} cells");
        }
    }

    #[test]
    fn a_full_allocator_refuses_and_serves_again_after_a_release() {
        let mut buddy = Buddy::new(8);
        let four = buddy.allocate(2).unwrap();
        let other = buddy.allocate(2).unwrap();
        assert_eq!(buddy.allocate(0), None);
        buddy.release(four);
        buddy.release(other);
        assert_eq!(buddy.allocate(3), Some(Block { base: 0, order: 3 }));
    }

    #[test]
    fn a_reserved_block_is_taken_once() {
        let mut buddy = Buddy::new(16);
        assert!(buddy.reserve(Block { base: 4, order: 1 }));
        assert!(!buddy.reserve(Block { base: 5, order: 0 }));
        assert!(!buddy.reserve(Block { base: 3, order: 1 }), "not aligned");
        assert!(!buddy.reserve(Block { base: 0, order: 7 }), "larger than the whole");
        assert_eq!(buddy.allocate(3), Some(Block { base: 8, order: 3 }));
        assert_eq!(buddy.used(), 10);
    }

    proptest! {
        #[test]
        fn blocks_never_overlap_and_all_merge_again(steps in prop::collection::vec((any::<bool>(), 0_u32..5, any::<prop::sample::Index>()), 1..200)) {
            let mut buddy = Buddy::new(256);
            let mut held: Vec<Block> = Vec::new();
            for (take, order, which) in steps {
                if take {
                    if let Some(block) = buddy.allocate(order) {
                        for other in &held {
                            prop_assert!(block.base + block.len() <= other.base || other.base + other.len() <= block.base);
                        }
                        held.push(block);
                    }
                } else if !held.is_empty() {
                    buddy.release(held.swap_remove(which.index(held.len())));
                }
                prop_assert_eq!(buddy.used(), held.iter().map(|b| b.len()).sum::<u32>());
            }
            let mut again = Buddy::new(256);
            for block in &held {
                prop_assert!(again.reserve(*block));
            }
            prop_assert_eq!(&again.free, &buddy.free);
            held.drain(..).for_each(|block| buddy.release(block));
            prop_assert_eq!(buddy.allocate(8), Some(Block { base: 0, order: 8 }));
        }

        /// Whenever it grows, it comes to hold what one that was made as large holds with the same blocks in use.
        #[test]
        fn a_grown_allocator_is_one_that_was_made_larger(
            before in 0_u32..7,
            steps in prop::collection::vec(prop::option::of((any::<bool>(), 0_u32..4, any::<prop::sample::Index>())), 1..60),
        ) {
            let mut cells = 1 << before >> 1;
            let mut buddy = Buddy::new(cells);
            let mut held: Vec<Block> = Vec::new();
            for step in steps {
                match step {
                    Some((true, order, _)) => held.extend(buddy.allocate(order)),
                    Some((false, ..)) if held.is_empty() => {}
                    Some((false, _, which)) => buddy.release(held.swap_remove(which.index(held.len()))),
                    None if cells < 1024 => {
                        cells = cells.max(1) * 4 + 3;
                        buddy.grow(cells);
                    }
                    None => buddy.grow(1),
                }
                let mut large = Buddy::new(cells);
                prop_assert!(held.iter().all(|block| large.reserve(*block)), "blocks do not overlap");
                prop_assert_eq!((&large.free, large.used()), (&buddy.free, buddy.used()));
                prop_assert_eq!(large.capacity(), buddy.capacity());
            }
        }
    }
}
