//! The table's state and its small operations.

use super::{
    Conflict, Full, Plan,
    buddy::{Block, Buddy},
    claims::Claims,
    pool::Pool,
    port::Port,
    quarantine::Quarantine,
};
use crate::{
    model::PortId,
    writer::{Capacities, NODE_CELLS, Store},
};
use proxy_common::abi::{BackendEntry, ServiceEntry};
use smol_str::SmolStr;

/// What the kernel holds, and what is free.
#[derive(Debug)]
pub struct Table {
    /// By index into SERVICES.
    pub(super) ports: Vec<Option<Port>>,
    pub(super) claims: Claims,
    pub(super) stock: Stock,
    /// Ports that were removed but may still be found through a frontend.
    pub(super) dying: Vec<u32>,
    /// The text at the head of NAMES that says for which node the maps are.
    pub(super) node: SmolStr,
}

/// The cells at the head of NAMES that are set aside for this node, as a block.
pub(super) const NODE_BLOCK: Block = Block { base: 0, order: NODE_CELLS.ilog2() };

/// Everything that is allocated.
#[derive(Debug)]
pub(super) struct Stock {
    pub services: Pool,
    pub backends: Pool,
    /// Generation of each backend index below its length; zero above.
    pub generations: Vec<u32>,
    pub slots: Buddy,
    pub names: Buddy,
    pub quarantine: Quarantine,
}

/// A service port in the table: its index in SERVICES.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortHandle(pub(super) u32);

impl PortHandle {
    /// Index into SERVICES.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }
}

/// Entries in use, what waits for a grace period included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Of FRONTENDS4.
    pub frontends4: u32,
    /// Of FRONTENDS6.
    pub frontends6: u32,
    /// Of SERVICES.
    pub services: u32,
    /// Of SLOTS, in whole ranges.
    pub slots: u32,
    /// Of BACKENDS.
    pub backends: u32,
    /// Of NAMES, in whole ranges.
    pub name_cells: u32,
}

impl Table {
    /// A table over empty maps.
    #[must_use]
    pub fn new(capacities: &Capacities) -> Self {
        let mut names = Buddy::new(capacities.name_cells);
        names.reserve(NODE_BLOCK);
        Self {
            ports: Vec::new(),
            claims: Claims::new(capacities.frontends, capacities.services),
            stock: Stock {
                services: Pool::new(capacities.services),
                backends: Pool::new(capacities.backends),
                generations: Vec::new(),
                slots: Buddy::new(capacities.slots),
                names,
                quarantine: Quarantine::default(),
            },
            dying: Vec::new(),
            node: SmolStr::default(),
        }
    }

    /// Plans the text that says for which node the maps are, for whoever reads them.
    pub fn describe_node(&mut self, text: SmolStr, plan: &mut Plan) {
        if self.node != text && self.stock.names.capacity() >= NODE_CELLS {
            plan.stores.push(Store::Name { cell: NODE_BLOCK.base, text: text.clone() });
            self.node = text;
        }
    }

    /// Identity of a service port; `None` once it is removed.
    #[must_use]
    pub fn id(&self, handle: PortHandle) -> Option<&PortId> {
        self.ports.get(handle.0 as usize)?.as_ref().map(|port| &port.id)
    }

    /// Plans the removal of a service port. Its index and backends are freed once the kernel has
    /// let go of its frontends.
    pub fn remove(&mut self, handle: PortHandle) {
        let Some(port) = self.ports.get_mut(handle.0 as usize).and_then(Option::as_mut) else { return };
        if std::mem::replace(&mut port.dying, true) {
            return;
        }
        for frontend in std::mem::take(&mut port.frontends) {
            self.claims.release(&self.ports, handle.0, frontend);
        }
        self.dying.push(handle.0);
    }

    /// Turns the frontends whose owner changed, or that the kernel refused before, into deletes and
    /// puts of `plan`.
    pub fn settle(&mut self, plan: &mut Plan) {
        self.claims.settle(&mut plan.deletes, &mut plan.puts);
    }

    /// Notes how far the kernel got with the frontends of a plan, empties the plan, and fills it
    /// with the stores that free what no frontend leads to any more.
    pub fn settled(&mut self, plan: &mut Plan, deletes_done: usize, puts_done: usize) {
        for (place, key) in plan.deletes.iter().enumerate() {
            if place < deletes_done { self.claims.deleted(key) } else { self.claims.refused(*key) }
        }
        for (place, (key, value)) in plan.puts.iter().enumerate() {
            if place < puts_done { self.claims.put(key, *value) } else { self.claims.refused(*key) }
        }
        plan.clear();
        let dying = std::mem::take(&mut self.dying);
        for index in dying {
            if self.claims.leads_to(index) {
                self.dying.push(index);
            } else if let Some(port) = self.ports.get_mut(index as usize).and_then(Option::take) {
                self.stock.free_port(index, &port, plan);
            }
        }
    }

    /// True if a grace period would free something.
    #[must_use]
    pub fn wants_grace(&self) -> bool {
        !self.stock.quarantine.is_empty()
    }

    /// True if frontends wait to be put or deleted.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        self.claims.is_unsettled()
    }

    /// After a grace period: what was freed before it may be reused. The plan's stores leave the
    /// freed entries empty, but for the generations.
    pub fn release(&mut self, plan: &mut Plan) {
        self.stock.release(plan);
    }

    /// Entries in use.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let [frontends4, frontends6] = self.claims.occupied();
        Usage {
            frontends4,
            frontends6,
            services: self.stock.services.used(),
            slots: self.stock.slots.used(),
            backends: self.stock.backends.used(),
            name_cells: self.stock.names.used().saturating_sub(NODE_CELLS),
        }
    }

    /// Frontends that more than one Service claims.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.claims.conflicts(&self.ports)
    }
}

impl Stock {
    /// Frees everything that a service port held.
    fn free_port(&mut self, index: u32, port: &Port, plan: &mut Plan) {
        for held in &port.members {
            self.retire(held.backend, plan);
        }
        self.quarantine.slots.extend(port.cluster.range);
        self.quarantine.slots.extend(port.local.range);
        self.quarantine.names.extend(port.name);
        self.quarantine.services.push(index);
    }

    /// Generation of a backend index.
    pub fn generation(&self, backend: u32) -> u32 {
        self.generations.get(backend as usize).copied().unwrap_or(0)
    }

    /// Frees a backend that no set counts any more: memories of it are stale from now on.
    pub fn retire(&mut self, backend: u32, plan: &mut Plan) {
        let place = backend as usize;
        if self.generations.len() <= place {
            self.generations.resize(place + 1, 0);
        }
        let generation = self.generations[place].wrapping_add(1);
        self.generations[place] = generation;
        plan.stores.push(Store::Retire { index: backend, generation });
        self.quarantine.backends.push(backend);
    }

    /// Takes a range of slots.
    pub fn slots(&mut self, order: u32) -> Result<Block, Full> {
        self.slots.allocate(order).ok_or(Full { map: "SLOTS", capacity: self.slots.capacity() })
    }

    fn release(&mut self, plan: &mut Plan) {
        let Quarantine { backends, services, slots, names } = std::mem::take(&mut self.quarantine);
        for index in backends {
            let entry = BackendEntry { generation: self.generation(index), ..BackendEntry::default() };
            plan.stores.push(Store::Backend { index, entry });
            self.backends.release(index);
        }
        for service in services {
            plan.stores.push(Store::Service { service, entry: ServiceEntry::default() });
            self.services.release(service);
        }
        for block in slots {
            plan.stores.push(Store::ClearSlots { base: block.base, count: block.len() });
            self.slots.release(block);
        }
        for block in names {
            plan.stores.push(Store::ClearName { cell: block.base, count: block.len() });
            self.names.release(block);
        }
    }
}
