//! Taking over what a former agent left in the maps: indices and generations are kept, so that the
//! first plan after the sources have synced holds only what differs.

use super::{
    Plan, PortHandle, Table,
    buddy::{Block, order_for},
    found::{Found, member},
    pool::Pool,
    port::{Held, Port, Set, Which},
    sets::BAD_SLOT,
    spec::Membership,
    state::NODE_BLOCK,
    upsert::name_block_order,
};
use crate::{
    model::{Family, ObjectName, PortId, Protocol},
    writer::{Capacities, MapReader, WriteError},
};
use ahash::AHashMap;
use proxy_common::abi::{BackendEntry, BackendFlags, EndpointSet, ServiceEntry};
use smol_str::{SmolStr, format_smolstr};
use std::collections::BTreeSet;

/// The service ports found in the maps, by identity.
pub type Adopted = AHashMap<PortId, PortHandle>;

impl Table {
    /// Rebuilds a table from the maps. What a killed agent left half done is quarantined; the plan's
    /// stores belong to that. Wait for a grace period before anything is written: the former agent
    /// may have freed what looks free now a moment ago.
    ///
    /// # Errors
    /// Where the frontends cannot be read.
    pub fn adopt(reader: &impl MapReader, plan: &mut Plan) -> Result<(Self, Adopted), WriteError> {
        let capacities = reader.capacities();
        let mut table = Self::new(&capacities);
        table.node = reader.name(NODE_BLOCK.base).unwrap_or_default().into();
        table.node_entry = reader.node();
        for (key, value) in reader.prefixes()? {
            table.prefixes.adopt(key, value);
        }
        let mut adopted = Adopted::new();
        let mut reached = BTreeSet::new();
        for (key, value) in reader.frontends()? {
            table.claims.adopt(key, value);
            if value.kind().leads_to_service() && value.service < capacities.services {
                reached.insert(value.service);
            }
        }
        // A service port that lost all of its frontends to others is known by its name alone. So is one
        // that was removed and waits for its grace period: if it was made anew since, the new one counts.
        let named = |index: &u32| reader.service(*index).is_some_and(|entry| entry.name > 0);
        let unreached = (0..capacities.services).filter(|index| !reached.contains(index)).filter(named);
        let (mut in_use, mut found) = (vec![false; capacities.backends as usize], Found::default());
        for index in reached.iter().copied().chain(unreached) {
            let entry = reader.service(index).unwrap_or_default();
            let (mut port, named) = table.adopt_port(reader, index, &entry, &mut found);
            match named {
                Some(id) if !adopted.contains_key(&id) => {
                    port.id = id.clone();
                    adopted.insert(id, PortHandle(index));
                }
                // Nobody will ask for it by name: it goes as soon as its frontends are gone.
                _ => {
                    port.dying = true;
                    table.dying.push(index);
                }
            }
            for held in &port.members {
                in_use[held.backend as usize] = true;
            }
            if table.ports.len() <= index as usize {
                table.ports.resize_with(index as usize + 1, || None);
            }
            table.ports[index as usize] = Some(port);
        }
        table.adopt_draining(reader, &capacities, &mut in_use);
        table.adopt_pools(reader, &capacities, &in_use, plan);
        Ok((table, adopted))
    }

    /// Once every source has synced and every wanted service port was upserted: plans the removal
    /// of frontends that nobody claims.
    pub fn drop_unclaimed(&mut self) {
        self.claims.touch_unclaimed();
        self.prefixes.touch_unwanted();
    }

    /// Adopts the backends that can serve and are in no set: endpoints that terminate, or that policy or
    /// topology has left out since they were used.
    fn adopt_draining(&mut self, reader: &impl MapReader, capacities: &Capacities, in_use: &mut [bool]) {
        let mut draining = Vec::new();
        for index in (0..capacities.backends).filter(|index| !in_use[*index as usize]) {
            let live = reader.backend(index).filter(|entry| entry.flags.contains(BackendFlags::LIVE));
            let Some(entry) = live else { continue };
            let held = Held { member: member(&entry, Membership::NONE), backend: index, flags: entry.flags };
            draining.push((entry.service, held));
        }
        // Of two for one endpoint, the lower index counts.
        let key = |(service, held): &(u32, Held)| (*service, held.member.key());
        draining.sort_by_key(key);
        draining.dedup_by_key(|of| key(of));
        for of_port in draining.chunk_by(|(one, _), (other, _)| one == other) {
            let port = self.ports.get_mut(of_port[0].0 as usize).and_then(Option::as_mut);
            let Some(port) = port.filter(|port| !port.dying) else { continue };
            let known = port.members.len();
            for (_, held) in of_port {
                let key = held.member.key();
                if port.members[..known].binary_search_by_key(&key, |known| known.member.key()).is_err() {
                    port.members.push(*held);
                    in_use[held.backend as usize] = true;
                }
            }
            port.members.sort_unstable_by_key(|held| held.member.key());
        }
    }

    fn adopt_port(
        &mut self,
        reader: &impl MapReader,
        index: u32,
        entry: &ServiceEntry,
        found: &mut Found,
    ) -> (Port, Option<PortId>) {
        let text = entry.name.checked_sub(1).and_then(|cell| Some((cell, reader.name(cell)?)));
        let name = text.as_ref().and_then(|(cell, text)| {
            let block = Block { base: *cell, order: name_block_order(text) };
            self.stock.names.reserve(block).then_some(block)
        });
        // A text whose cells belong to another service port is not this one's.
        let id = text.filter(|_| name.is_some()).and_then(|(_, text)| parse_name(&text));
        let cluster = self.adopt_set(reader, index, entry.cluster, Which::Cluster, found);
        let local = self.adopt_set(reader, index, entry.local, Which::Local, found);
        let port = Port {
            id: PortId {
                service: ObjectName::new("", ""),
                port: SmolStr::default(),
                protocol: Protocol::Tcp,
                family: Family::V4,
            },
            created: i64::MAX,
            name,
            affinity_seconds: entry.affinity_seconds,
            flags: entry.flags,
            health_check_node_port: entry.health_check_node_port,
            members: found.take(),
            cluster,
            local,
            frontends: Vec::new(),
            source_ranges: Vec::new(),
            dying: false,
        };
        (port, id)
    }

    fn adopt_set(
        &mut self,
        reader: &impl MapReader,
        service: u32,
        set: EndpointSet,
        which: Which,
        found: &mut Found,
    ) -> Set {
        if set.count() == 0 {
            return Set::default();
        }
        let block = Block { base: set.base(), order: order_for(set.count()) };
        if set.count() > self.stock.slots.capacity() || !self.stock.slots.reserve(block) {
            return Set { damaged: true, ..Set::default() };
        }
        let mut slots = Vec::with_capacity(set.count() as usize);
        for index in block.base..block.base + set.count() {
            let usable = reader.slot(index).and_then(|slot| {
                let entry = reader.backend(slot.index())?;
                let fits = entry.generation == slot.generation() && entry.service == service;
                fits.then_some((slot.index(), entry))
            });
            let usable = usable.filter(|(backend, entry)| found.join(*backend, entry, which));
            slots.push(usable.map_or(BAD_SLOT, |(backend, _)| backend));
        }
        let damaged = slots.contains(&BAD_SLOT);
        Set { range: Some(block), slots, damaged }
    }

    /// Rebuilds the pools; entries that hold something but belong to nobody go into quarantine.
    fn adopt_pools(
        &mut self,
        reader: &impl MapReader,
        capacities: &Capacities,
        in_use: &[bool],
        plan: &mut Plan,
    ) {
        let ports = &self.ports;
        let used = |index: u32| ports.get(index as usize).is_some_and(Option::is_some);
        let swept = |index: u32| reader.service(index).is_some_and(|e| e != ServiceEntry::default());
        self.stock.services = Pool::with_used(capacities.services, |index| used(index) || swept(index));
        self.stock.quarantine.services =
            (0..capacities.services).filter(|i| !used(*i) && swept(*i)).collect();
        let mut swept = vec![false; in_use.len()];
        for index in 0..capacities.backends {
            let entry = reader.backend(index).unwrap_or_default();
            if entry.generation != 0 {
                self.stock.generations.resize(index as usize + 1, 0);
                self.stock.generations[index as usize] = entry.generation;
            }
            let empty = BackendEntry { generation: entry.generation, ..BackendEntry::default() };
            if !in_use[index as usize] && entry != empty {
                // A socket may remember it: its memory must not fit the next tenant.
                self.stock.retire(index, plan);
                swept[index as usize] = true;
            }
        }
        let used = |index: u32| in_use[index as usize] || swept[index as usize];
        self.stock.backends = Pool::with_used(capacities.backends, used);
    }
}

/// The text that names a node and its zone in NAMES: `node/zone`, without a zone `node/`.
pub(crate) fn node_text(name: &str, zone: Option<&str>) -> SmolStr {
    // 510 bytes fit; Kubernetes allows 253 for a node and 63 for a zone.
    let zone = zone.unwrap_or_default();
    let name = &name[..name.floor_char_boundary(400)];
    format_smolstr!("{name}/{}", &zone[..zone.floor_char_boundary(100)])
}

/// Reads [`node_text`] back: node and zone.
pub(crate) fn parse_node(reader: &impl MapReader) -> (String, Option<String>) {
    let text = reader.name(NODE_BLOCK.base).unwrap_or_default();
    let (name, zone) = text.split_once('/').unwrap_or((&text, ""));
    (name.to_owned(), Some(zone.to_owned()).filter(|zone| !zone.is_empty()))
}

/// Parses `namespace/name/port/protocol/family`.
pub(crate) fn parse_name(text: &str) -> Option<PortId> {
    let mut parts = text.split('/');
    let mut next = || parts.next();
    let (namespace, name, port, protocol, family) = (next()?, next()?, next()?, next()?, next()?);
    let protocol =
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|p| p.to_string() == protocol)?;
    let family = Family::BOTH.into_iter().find(|f| f.to_string() == family)?;
    parts.next().is_none().then(|| PortId {
        service: ObjectName::new(namespace, name),
        port: port.into(),
        protocol,
        family,
    })
}
