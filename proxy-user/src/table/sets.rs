//! Changing one endpoint set: the fewest stores that lead from the old set to the new one, with
//! every state in between fit to be read.

use super::{
    Full, Plan,
    buddy::{Block, order_for},
    port::{Set, Which},
    state::Stock,
};
use crate::writer::Store;
use proxy_common::abi::{BackendRef, EndpointSet};

/// Where a slot held nothing usable when it was adopted.
pub(super) const BAD_SLOT: u32 = u32::MAX;

/// A set of one service port, with what it takes to change it.
pub(super) struct SetWriter<'a> {
    pub service: u32,
    pub which: Which,
    pub set: &'a mut Set,
    pub stock: &'a mut Stock,
    pub plan: &'a mut Plan,
}

impl Set {
    /// A larger range, if `come` more and `gone` fewer slots do not fit in the present one.
    pub fn larger_range(&self, come: usize, gone: usize, stock: &mut Stock) -> Result<Option<Block>, Full> {
        let count = (self.slots.len() + come).saturating_sub(gone) as u32;
        let holds = self.range.map_or(0, Block::len);
        if come == 0 || count <= holds { Ok(None) } else { stock.slots(order_for(count)).map(Some) }
    }
}

impl SetWriter<'_> {
    /// Removes `gone` and adds `come`, in `larger` where that is given.
    pub fn change(&mut self, gone: &[u32], come: &[u32], larger: Option<Block>) {
        if let Some(block) = larger {
            let kept = self.set.slots.iter().filter(|b| !gone.contains(b)).copied();
            let slots: Vec<u32> = kept.chain(come.iter().copied()).collect();
            self.move_to(block, slots);
            return;
        }
        let paired = gone.len().min(come.len());
        for (old, new) in gone.iter().zip(come) {
            // One store replaces an endpoint by another: the count stays.
            if let Some(place) = self.set.slots.iter().position(|b| b == old) {
                self.put(place, *new);
            }
        }
        for old in &gone[paired..] {
            if let Some(place) = self.set.slots.iter().position(|b| b == old) {
                self.remove(place);
            }
        }
        if let Some(range) = self.set.range
            && paired < come.len()
        {
            for new in &come[paired..] {
                let place = self.set.slots.len();
                self.set.slots.push(BAD_SLOT);
                self.put(place, *new);
            }
            self.publish(Some(range));
        }
        self.shrink();
    }

    /// Drops the slots that were found dead or doubled at adoption.
    pub fn repair(&mut self) {
        if std::mem::replace(&mut self.set.damaged, false) {
            while let Some(place) = self.set.slots.iter().rposition(|b| *b == BAD_SLOT) {
                self.remove(place);
            }
            if self.set.slots.is_empty() {
                self.publish(None);
            }
        }
    }

    fn put(&mut self, place: usize, backend: u32) {
        let Some(range) = self.set.range else { return };
        self.set.slots[place] = backend;
        let backend = BackendRef::new(backend, self.stock.generation(backend));
        self.plan.stores.push(Store::Slot { index: range.base + place as u32, backend });
    }

    /// Moves the last slot into the hole, then publishes one fewer. A reader that still counts the
    /// last slot finds it as it was.
    fn remove(&mut self, place: usize) {
        let last = self.set.slots.len() - 1;
        if place < last {
            self.put(place, self.set.slots[last]);
        }
        self.set.slots.truncate(last);
        self.publish(self.set.range);
    }

    /// Publishes the range and the present number of slots by one store; frees what was the range
    /// before.
    fn publish(&mut self, range: Option<Block>) {
        let count = self.set.slots.len() as u32;
        let range = range.filter(|_| count > 0);
        let set = range.map_or(EndpointSet::EMPTY, |block| EndpointSet::new(block.base, count));
        let service = self.service;
        self.plan.stores.push(match self.which {
            Which::Cluster => Store::ClusterSet { service, set },
            Which::Local => Store::LocalSet { service, set },
        });
        if self.set.range != range {
            self.stock.quarantine.slots.extend(std::mem::replace(&mut self.set.range, range));
        }
    }

    /// Writes `slots` to a range that no reader knows, then publishes it.
    fn move_to(&mut self, block: Block, slots: Vec<u32>) {
        for (index, backend) in (block.base..).zip(&slots) {
            let backend = BackendRef::new(*backend, self.stock.generation(*backend));
            self.plan.stores.push(Store::Slot { index, backend });
        }
        self.set.slots = slots;
        self.publish(Some(block));
    }

    /// Moves a set that fills at most a quarter of its range to a smaller one with room to grow.
    fn shrink(&mut self) {
        let (count, Some(range)) = (self.set.slots.len() as u32, self.set.range) else { return };
        if range.len() >= 8 && count * 4 <= range.len() {
            // No room for a smaller range: the larger one serves as well.
            if let Ok(block) = self.stock.slots(order_for(count) + 1) {
                let slots = self.set.slots.clone();
                self.move_to(block, slots);
            }
        }
    }
}
