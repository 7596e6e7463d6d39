//! The table's state and its small operations.

use super::{
    Conflict, Frontend, Full, Plan, Progress,
    buddy::{Block, Buddy},
    claims::Claims,
    pool::Pool,
    port::Port,
    prefixes::Prefixes,
    quarantine::Quarantine,
};
use crate::{
    model::PortId,
    writer::{Capacities, NODE_CELLS, Store},
};
use proxy_common::abi::{BackendEntry, BackendFlags, NetworkKey, NodeEntry, ServiceEntry};
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
    /// [`NODE_BLOCK`] is set aside.
    pub(super) names_node: bool,
    /// The text at the head of NAMES that says for which node the maps are.
    pub(super) node: SmolStr,
    pub(super) prefixes: Prefixes,
    /// Addresses of this node, as claims.
    pub(super) node_addresses: Vec<Frontend>,
    pub(super) networks: Vec<NetworkKey>,
    pub(super) node_entry: NodeEntry,
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
    /// Of SOURCE_RANGES.
    pub source_ranges: u32,
    /// Of NETWORKS.
    pub networks: u32,
}

impl Table {
    /// A table over empty maps.
    #[must_use]
    pub fn new(capacities: &Capacities) -> Self {
        let mut names = Buddy::new(capacities.name_cells);
        let names_node = names.reserve(NODE_BLOCK);
        Self {
            names_node,
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
            prefixes: Prefixes::new(capacities.prefixes),
            node_addresses: Vec::new(),
            networks: Vec::new(),
            node_entry: NodeEntry::default(),
        }
    }

    /// Takes in that the maps have room for more. What is in them stays where it is: indices, ranges and
    /// generations mean what they meant. A map never shrinks.
    pub fn grow(&mut self, capacities: &Capacities) {
        let Capacities { frontends, services, slots, backends, name_cells, prefixes, .. } = *capacities;
        self.claims.grow(frontends, services);
        self.prefixes.grow(prefixes);
        self.stock.services.grow(services);
        self.stock.backends.grow(backends);
        self.stock.slots.grow(slots);
        self.stock.names.grow(name_cells);
        self.names_node = self.names_node || self.stock.names.reserve(NODE_BLOCK);
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
        self.want_source_ranges(handle.0, &[]);
        self.dying.push(handle.0);
    }

    /// Turns the frontends whose owner changed, the prefixes that changed, and what the kernel refused
    /// before, into deletes and puts of `plan`. Until `all` changes that are known were planned, a frontend that
    /// the kernel holds does not change hands: whoever has it in the end may be planned last.
    pub fn settle(&mut self, all: bool, plan: &mut Plan) {
        self.claims.settle(all, &mut plan.deletes, &mut plan.puts);
        self.prefixes.settle(&mut plan.prefix_deletes, &mut plan.prefix_puts);
    }

    /// Notes how far the kernel got with a plan, empties the plan, and fills it with the stores that free
    /// what nothing leads to any more.
    pub fn settled(&mut self, plan: &mut Plan, done: &Progress) {
        let (deleted, kept) = plan.deletes.split_at(done.deletes);
        deleted.iter().for_each(|key| self.claims.deleted(key));
        kept.iter().for_each(|key| self.claims.refused(*key));
        let (put, refused) = plan.puts.split_at(done.puts);
        put.iter().for_each(|(key, value)| self.claims.put(key, *value));
        refused.iter().for_each(|(key, _)| self.claims.refused(*key));
        let (put, refused) = plan.prefix_puts.split_at(done.prefix_puts);
        put.iter().for_each(|(key, value)| self.prefixes.put(key, *value));
        refused.iter().for_each(|(key, _)| self.prefixes.refused(*key));
        let (deleted, kept) = plan.prefix_deletes.split_at(done.prefix_deletes);
        deleted.iter().for_each(|key| self.prefixes.deleted(key));
        kept.iter().for_each(|key| self.prefixes.refused(*key));
        plan.clear();
        let dying = std::mem::take(&mut self.dying);
        for index in dying {
            if self.claims.leads_to(index) || self.prefixes.name(index) {
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

    /// True if frontends or prefixes wait to be put or deleted.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        self.claims.is_unsettled() || self.prefixes.is_unsettled()
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
        let [source_ranges, networks] = self.prefixes.occupied();
        Usage {
            source_ranges,
            networks,
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
        let flags = BackendFlags::default();
        plan.stores.push(Store::BackendState { index: backend, flags, generation });
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
