//! The maps that the packet programs use: written from those in memory, read back and compared with them.
//!
//! Time is the kernel's: what happened in memory some time ago happened as long ago here.

use crate::{
    kept::{Content, Kept, entry},
    world::World,
};
use proxy_common::{
    abi::{
        AffinityEntry, AffinityKey, Counter, FlowEntry, FragmentKey, FrontendFlags, FrontendValue,
        NetworkKey, NodeEntry, Ports, SourceRangeKey, SourceRule, Tuple,
    },
    datapath::Tables as _,
};
use std::{collections::HashMap, path::Path};

const SECOND: u64 = 1_000_000_000;
/// What may go by between a look at the clock and a program's.
const SOON: u64 = SECOND / 20;

pub struct Tables {
    frontends4: Kept,
    frontends6: Kept,
    services: Kept,
    slots: Kept,
    backends: Kept,
    source_ranges: Kept,
    networks: Kept,
    node: Kept,
    affinity: Kept,
    devices: Kept,
    settings: Kept,
    flows: Kept,
    fragments: Kept,
    counters: shunt::kernel::sys::MapFd,
}

/// Elements of an array.
fn elements<T: zerocopy::IntoBytes + zerocopy::Immutable>(values: &[T]) -> Content {
    values.iter().enumerate().map(|(index, value)| entry(&(index as u32), value)).collect()
}

/// Nanoseconds that have gone by since `then`, in memory.
fn age(world: &World, then: u64) -> u64 {
    world.fake.now.get() - then
}

/// Seconds since a flow's last packet, in memory.
fn idle(world: &World, entry: &FlowEntry) -> u32 {
    (world.fake.now.get() / SECOND) as u32 - entry.last_seen
}

impl Tables {
    pub fn open(maps: &Path) -> Self {
        let open = |name| Kept::open(maps, name);
        let access = shunt::kernel::sys::Access::Read;
        Self {
            frontends4: open("FRONTENDS4"),
            frontends6: open("FRONTENDS6"),
            services: open("SERVICES"),
            slots: open("SLOTS"),
            backends: open("BACKENDS"),
            source_ranges: open("SOURCE_RANGES"),
            networks: open("NETWORKS"),
            node: open("NODE"),
            affinity: open("AFFINITY"),
            devices: open("DEVICES"),
            settings: open("PACKETS"),
            flows: open("FLOWS"),
            fragments: open("FRAGMENTS"),
            counters: shunt::kernel::sys::MapFd::open(&maps.join("COUNTERS"), access).unwrap(),
        }
    }

    /// Whether everything that is remembered is younger than the kernel, and nothing leads beyond the end of an array:
    /// the kernel's are longer.
    pub fn can_hold(world: &World, now: u64) -> bool {
        let fake = &world.fake;
        let frontends = fake.frontends4.values().chain(fake.frontends6.values());
        let known = |frontend: &FrontendValue| {
            let Some(service) = fake.services.get(frontend.service as usize) else { return false };
            let sets = [service.cluster, service.local];
            sets.iter().all(|set| (set.base() + set.count()) as usize <= fake.slots.len())
        };
        let addresses = FrontendFlags::NODE_ADDRESS.union(FrontendFlags::ADDRESS_ONLY);
        let mut ports = frontends.filter(|frontend| frontend.kind().0 & addresses.0 == 0);
        let flows = world.flows.borrow();
        let affinities = world.fake.affinities.borrow();
        ports.all(known)
            && flows.len() < 500
            && flows.values().all(|entry| u64::from(idle(world, entry)) < now / SECOND)
            && affinities.values().all(|entry| age(world, entry.last_flow) < now)
    }

    /// Writes what is in memory; `now` is the kernel's time, `devices` its indices.
    pub fn write(&mut self, world: &World, now: u64, devices: &HashMap<u32, u32>) {
        let fake = &world.fake;
        self.frontends4.hold(fake.frontends4.iter().map(|(key, value)| entry(key, value)).collect());
        self.frontends6.hold(fake.frontends6.iter().map(|(key, value)| entry(key, value)).collect());
        self.services.set(elements(&fake.services));
        self.slots.set(elements(&fake.slots));
        self.backends.set(elements(&fake.backends));
        let range = |(service, source)| {
            entry(&SourceRangeKey::new(service, source, 128), &(SourceRule::Range as u32))
        };
        self.source_ranges.hold(fake.source_ranges.iter().copied().map(range).collect());
        let network = |(address, value)| entry(&NetworkKey { prefix_len: 128, address }, &value);
        self.networks
            .hold(fake.networks.iter().map(|(address, value)| network((*address, *value))).collect());
        self.node.set(elements(&[NodeEntry { flags: world.node_flags(), reserved: 0 }]));
        self.settings.set(elements(&[world.settings]));
        let device = |(device, value)| entry(&devices[device], value);
        self.devices.hold(world.devices.iter().map(device).collect());
        let younger = |value: &AffinityEntry| AffinityEntry {
            last_flow: now + SOON - age(world, value.last_flow),
            ..*value
        };
        let affinities = fake.affinities.borrow();
        self.affinity.hold(affinities.iter().map(|(key, value)| entry(key, &younger(value))).collect());
        let as_there = |value: &FlowEntry| FlowEntry {
            last_seen: (now / SECOND) as u32 - idle(world, value),
            device: devices.get(&value.device).copied().unwrap_or(0),
            ..*value
        };
        self.flows
            .hold(world.flows.borrow().iter().map(|(key, value)| entry(key, &as_there(value))).collect());
        let fragments = world.fragments.borrow();
        self.fragments.hold(fragments.iter().map(|(key, value)| entry(key, value)).collect());
    }

    /// Says that a program has left in the kernel's maps what the functions have left in memory.
    pub fn compare(&mut self, world: &World, now: u64, devices: &HashMap<u32, u32>) {
        let mut flows: Vec<(Tuple, FlowEntry)> = self.flows.read();
        for (_, entry) in &mut flows {
            entry.last_seen = (now / SECOND) as u32 - entry.last_seen;
            entry.device =
                devices.iter().find(|(_, there)| **there == entry.device).map_or(0, |(device, _)| *device);
        }
        flows.sort_unstable_by_key(|(key, _)| *key);
        let idle = |entry: &FlowEntry| FlowEntry { last_seen: idle(world, entry), ..*entry };
        let mut expected: Vec<_> =
            world.flows.borrow().iter().map(|(key, entry)| (*key, idle(entry))).collect();
        expected.sort_unstable_by_key(|(key, _)| *key);
        assert_eq!(flows, expected, "FLOWS: in the kernel, in memory");

        let fragments: HashMap<FragmentKey, Ports> = self.fragments.read().into_iter().collect();
        assert_eq!(fragments, *world.fragments.borrow(), "FRAGMENTS: in the kernel, in memory");

        let affinities: Vec<(AffinityKey, AffinityEntry)> = self.affinity.read();
        let expected = world.fake.affinities.borrow();
        assert_eq!(affinities.len(), expected.len(), "AFFINITY");
        for (key, entry) in affinities {
            let other = expected[&key];
            assert_eq!(entry.backend, other.backend, "AFFINITY: in the kernel, in memory");
            let (age, other) = ((now + SOON).saturating_sub(entry.last_flow), age(world, other.last_flow));
            assert!(age.abs_diff(other) < SECOND, "AFFINITY: {age} ns ago, {other} ns ago in memory");
        }
    }

    /// Has what a program may have written looked up: it does not go by `write`'s.
    pub fn forget(&mut self) {
        let _: Vec<(Tuple, FlowEntry)> = self.flows.read();
        let _: Vec<(FragmentKey, Ports)> = self.fragments.read();
        let _: Vec<(AffinityKey, AffinityEntry)> = self.affinity.read();
    }

    /// The totals, by [`Counter`].
    pub fn counters(&self) -> Vec<u64> {
        let per_cpu = self.counters.value_len().unwrap() as usize;
        let (mut keys, mut values) = (vec![0; Counter::COUNT * 4], vec![0; Counter::COUNT * per_cpu]);
        self.counters.lookup_batch(&mut 0, true, &mut keys, &mut values).unwrap();
        let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
        values.chunks(per_cpu).map(|cpus| cpus.chunks(8).map(number).sum()).collect()
    }
}
