//! Making a service port what its specification says, by the smallest difference.

use super::{
    Full, Plan, PortHandle, PortSpec, SourceRange, Table, WhenFull,
    buddy::{Block, order_for},
    change::{Change, SetChange, difference},
    port::{Held, Port, Set, Which},
    sets::SetWriter,
    spec::Member,
    state::Stock,
};
use crate::{
    model::PortId,
    writer::{PrefixKey, Store},
};
use proxy_common::abi::{BackendEntry, BackendFlags, SourceRangeKey};
use smol_str::{SmolStr, format_smolstr};
use std::ops::Range;

/// Bytes of a name before its text: the length.
const NAME_HEADER: usize = 2;
/// Bytes of a cell of NAMES.
const NAME_CELL: usize = 8;

impl Table {
    /// Plans the stores that make a service port what `spec` says: a new one without a handle, a
    /// known one with its handle. Frontends follow with [`Table::settle`].
    ///
    /// A new service port that does not fit as a whole is left out as a whole. What becomes of a known
    /// one whose new endpoints do not fit, `when_full` says.
    ///
    /// # Errors
    /// The map that is full. Plan it again once there is room.
    pub fn upsert(
        &mut self,
        handle: Option<PortHandle>,
        spec: &PortSpec<'_>,
        when_full: WhenFull,
        plan: &mut Plan,
    ) -> Result<PortHandle, Full> {
        let handle = match handle {
            Some(handle) => handle,
            None => return self.insert(spec, plan),
        };
        let index = handle.0;
        let full = Full { map: "SERVICES", capacity: self.stock.services.capacity() };
        let port = self.ports.get_mut(index as usize).and_then(Option::as_mut).ok_or(full)?;
        let members = update_members(port, index, spec.members, when_full, &mut self.stock, plan);
        let policies = (spec.affinity_seconds, spec.flags, spec.health_check_node_port);
        if (port.affinity_seconds, port.flags, port.health_check_node_port) != policies {
            (port.affinity_seconds, port.flags, port.health_check_node_port) = policies;
            plan.stores.push(policy(index, port));
        }
        let ranges = self.update_source_ranges(index, spec);
        let frontends = self.update_frontends(index, spec);
        members.and(ranges).and(frontends).map(|()| handle)
    }

    fn insert(&mut self, spec: &PortSpec<'_>, plan: &mut Plan) -> Result<PortHandle, Full> {
        self.claims.room_for(spec.frontends)?;
        // The index does not matter to the room that they take.
        self.prefixes.room_for(spec.source_ranges.iter().map(|range| range.key(u32::MAX)))?;
        let capacity = self.stock.services.capacity();
        let text = name_of(spec.id);
        let name = self.stock.names.allocate(name_block_order(&text));
        let name = name.ok_or(Full { map: "NAMES", capacity: self.stock.names.capacity() })?;
        let Some(index) = self.stock.services.allocate() else {
            self.stock.names.release(name);
            return Err(Full { map: "SERVICES", capacity });
        };
        let mut port = Port {
            id: spec.id.clone(),
            created: spec.created,
            name: Some(name),
            affinity_seconds: spec.affinity_seconds,
            flags: spec.flags,
            health_check_node_port: spec.health_check_node_port,
            members: Vec::new(),
            cluster: Set::default(),
            local: Set::default(),
            frontends: Vec::new(),
            source_ranges: Vec::new(),
            dying: false,
        };
        let before = plan.stores.len();
        plan.stores.push(Store::Name { cell: name.base, text });
        plan.stores.push(policy(index, &port));
        if let Err(full) =
            update_members(&mut port, index, spec.members, WhenFull::Reduce, &mut self.stock, plan)
        {
            // Nothing of it was seen by any program: all of it is free at once.
            plan.stores.truncate(before);
            self.stock.names.release(name);
            self.stock.services.release(index);
            return Err(full);
        }
        if self.ports.len() <= index as usize {
            self.ports.resize_with(index as usize + 1, || None);
        }
        self.ports[index as usize] = Some(port);
        self.update_source_ranges(index, spec)?;
        self.update_frontends(index, spec)?;
        Ok(PortHandle(index))
    }

    /// Makes the prefixes of a service port those that are wanted. Without room those that are new wait; those
    /// that are gone go all the same: whom a range no longer names must not come in for want of room.
    fn update_source_ranges(&mut self, index: u32, spec: &PortSpec<'_>) -> Result<(), Full> {
        let room = self.prefixes.room_for(spec.source_ranges.iter().map(|range| range.key(index)));
        if room.is_ok() {
            self.want_source_ranges(index, spec.source_ranges);
        } else {
            let held = spec.source_ranges.iter().filter(|range| self.prefixes.holds(&range.key(index)));
            let held: Vec<_> = held.copied().collect();
            self.want_source_ranges(index, &held);
        }
        room
    }

    pub(super) fn want_source_ranges(&mut self, index: u32, ranges: &[SourceRange]) {
        let Some(Some(port)) = self.ports.get_mut(index as usize) else { return };
        if port.source_ranges == ranges {
            return;
        }
        for gone in std::mem::replace(&mut port.source_ranges, ranges.to_vec()) {
            if !ranges.iter().any(|range| range.key(index) == gone.key(index)) {
                self.prefixes.want(gone.key(index), None);
            }
        }
        for range in ranges {
            self.prefixes.want(range.key(index), Some(range.rule as u32));
        }
    }

    /// Claims the frontends that are new, and releases those that are gone.
    fn update_frontends(&mut self, index: u32, spec: &PortSpec<'_>) -> Result<(), Full> {
        let Some(Some(port)) = self.ports.get_mut(index as usize) else { return Ok(()) };
        let aged = port.created != spec.created;
        if port.frontends == spec.frontends && !aged {
            return Ok(());
        }
        let room = self.claims.room_for(spec.frontends);
        let old = std::mem::take(&mut port.frontends);
        // The age decides who wins: claims made at another age are made again.
        let released = |f: &super::Frontend| aged || !spec.frontends.contains(f);
        for frontend in old.iter().filter(|f| released(f)) {
            self.claims.release(&self.ports, index, *frontend);
        }
        let mut kept: Vec<_> = old.into_iter().filter(|f| !released(f)).collect();
        if let Some(Some(port)) = self.ports.get_mut(index as usize) {
            port.created = spec.created;
        }
        for frontend in spec.frontends {
            if !kept.contains(frontend) && (room.is_ok() || self.claims.room_for(&[*frontend]).is_ok()) {
                self.claims.claim(&self.ports, index, *frontend);
                kept.push(*frontend);
            }
        }
        if let Some(Some(port)) = self.ports.get_mut(index as usize) {
            if room.is_ok() {
                port.frontends = spec.frontends.to_vec();
            } else {
                port.frontends = kept;
            }
        }
        room
    }
}

/// The policies of a service port as a store.
fn policy(service: u32, port: &Port) -> Store {
    Store::Policy {
        service,
        affinity_seconds: port.affinity_seconds,
        flags: port.flags,
        name: port.name.map_or(0, |block| block.base + 1),
        health_check_node_port: port.health_check_node_port,
    }
}

impl SourceRange {
    /// The key of this range of the service port `service`.
    const fn key(&self, service: u32) -> PrefixKey {
        PrefixKey::Source(SourceRangeKey::new(service, self.address, self.bits))
    }
}

/// The text of a service port in NAMES: `namespace/name/port/protocol/family`.
pub(super) fn name_of(id: &PortId) -> SmolStr {
    format_smolstr!("{}/{}/{}/{}/{}", id.service.namespace, id.service.name, id.port, id.protocol, id.family)
}

/// The order of the block of NAMES that holds a text.
pub(super) fn name_block_order(text: &str) -> u32 {
    order_for((NAME_HEADER + text.len()).div_ceil(NAME_CELL) as u32)
}

/// Plans the stores that make the members of a service port those that are wanted.
fn update_members(
    port: &mut Port,
    index: u32,
    wanted: &[Member],
    when_full: WhenFull,
    stock: &mut Stock,
    plan: &mut Plan,
) -> Result<(), Full> {
    for which in Which::BOTH {
        SetWriter { service: index, which, set: port.set_mut(which), stock, plan }.repair();
    }
    // Of a thousand endpoints one has changed, as a rule: only what lies between the first and the last
    // difference is looked at.
    let place = difference(&port.members, wanted);
    if place.is_empty() && port.members.len() == wanted.len() {
        return Ok(());
    }
    let wanted = &wanted[place.start..place.end + wanted.len() - port.members.len()];
    let change = Change::between(&port.members[place.clone()], wanted, true);
    match reserve(port, &change, stock) {
        Ok(larger) => {
            carry_out(port, index, place, change, larger, stock, plan);
            Ok(())
        }
        Err(full) => {
            if when_full == WhenFull::Reduce {
                let change = Change::between(&port.members[place.clone()], wanted, false);
                carry_out(port, index, place, change, [None; 2], stock, plan);
            }
            Err(full)
        }
    }
}

impl Held {
    /// Plans the store that gives its backend these flags, if it has others.
    fn say(&mut self, flags: BackendFlags, stock: &Stock, plan: &mut Plan) {
        if std::mem::replace(&mut self.flags, flags) != flags {
            let generation = stock.generation(self.backend);
            plan.stores.push(Store::BackendState { index: self.backend, flags, generation });
        }
    }
}

/// Reserves everything that a change needs, or nothing.
fn reserve(port: &Port, change: &Change, stock: &mut Stock) -> Result<[Option<Block>; 2], Full> {
    if change.fresh.len() > stock.backends.available() as usize {
        return Err(Full { map: "BACKENDS", capacity: stock.backends.capacity() });
    }
    let cluster = port.cluster.larger_range(change.cluster.come.len(), change.cluster.gone.len(), stock)?;
    match port.local.larger_range(change.local.come.len(), change.local.gone.len(), stock) {
        Ok(local) => Ok([cluster, local]),
        Err(full) => {
            cluster.into_iter().for_each(|block| stock.slots.release(block));
            Err(full)
        }
    }
}

fn carry_out(
    port: &mut Port,
    index: u32,
    place: Range<usize>,
    mut change: Change,
    larger: [Option<Block>; 2],
    stock: &mut Stock,
    plan: &mut Plan,
) {
    for place in &change.fresh {
        let held = &mut change.next[*place];
        let Some(backend) = stock.backends.allocate() else { continue };
        held.backend = backend;
        let entry = BackendEntry {
            address: held.member.address,
            port: held.member.port,
            flags: held.flags,
            generation: stock.generation(backend),
            service: index,
            reserved: 0,
        };
        plan.stores.push(Store::Backend { index: backend, entry });
    }
    // A backend says that it is in a set before the set names it, and until the set has let go of it.
    for held in &mut change.next {
        held.say(held.flags.union(held.member.backend_flags()), stock, plan);
    }
    for (which, larger) in Which::BOTH.into_iter().zip(larger) {
        let SetChange { gone, come } = std::mem::take(change.set(which));
        if gone.is_empty() && come.is_empty() {
            continue;
        }
        let come: Vec<u32> = come.iter().map(|place| change.next[*place].backend).collect();
        SetWriter { service: index, which, set: port.set_mut(which), stock, plan }
            .change(&gone, &come, larger);
    }
    for held in &mut change.next {
        held.say(held.member.backend_flags(), stock, plan);
    }
    for backend in change.retired {
        stock.retire(backend, plan);
    }
    port.members.splice(place, change.next);
}
