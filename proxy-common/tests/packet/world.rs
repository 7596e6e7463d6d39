//! The packet path's maps in memory, over the datapath's.

use crate::{fake::Fake, net};
use proxy_common::{
    abi::{
        Address, AffinityEntry, AffinityKey, BackendEntry, BackendRef, Counter, DeviceEntry, FlowEntry,
        FragmentKey, FrontendKey4, FrontendKey6, FrontendValue, NodeFlags, PacketSettings, Ports,
        ReverseEntry, ServiceEntry, SocketKey, TraceEvent, Tuple,
    },
    datapath::{Full, Tables},
    packet::{FlowTouch, InsertError, PacketTables},
};
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
};

/// What a service port carried: flows, and bytes of both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Carried {
    pub flows: u32,
    pub from_client: u32,
    pub to_client: u32,
}

pub struct World {
    pub fake: Fake,
    pub flows: RefCell<HashMap<Tuple, FlowEntry>>,
    pub fragments: RefCell<HashMap<FragmentKey, Ports>>,
    pub devices: HashMap<u32, DeviceEntry>,
    pub settings: PacketSettings,
    pub carried: RefCell<HashMap<u32, Carried>>,
    pub watched: bool,
    pub shown: RefCell<Vec<TraceEvent>>,
    /// FLOWS takes this many entries more.
    pub room: Cell<usize>,
    /// Entries that another CPU writes just before ours.
    pub others: RefCell<HashMap<Tuple, FlowEntry>>,
    /// Writes into FLOWS, new entries and what was noted in old ones.
    pub writes: Cell<usize>,
}

impl Default for World {
    fn default() -> Self {
        let settings = PacketSettings { first_port: 50000, ports: 1, ..PacketSettings::default() };
        Self {
            fake: Fake::default(),
            flows: RefCell::default(),
            fragments: RefCell::default(),
            devices: net::devices(),
            settings,
            carried: RefCell::default(),
            watched: false,
            shown: RefCell::default(),
            room: Cell::new(usize::MAX),
            others: RefCell::default(),
            writes: Cell::new(0),
        }
    }
}

impl PacketTables for World {
    fn flow(&self, key: &Tuple, into: &mut FlowEntry) -> bool {
        self.flows.borrow().get(key).map(|entry| *into = *entry).is_some()
    }
    fn insert_flow(&self, key: &Tuple, entry: &FlowEntry) -> Result<(), InsertError> {
        let mut flows = self.flows.borrow_mut();
        if let Some(other) = self.others.borrow_mut().remove(key) {
            flows.insert(*key, other);
        }
        if flows.contains_key(key) {
            return Err(InsertError::Exists);
        }
        let Some(room) = self.room.get().checked_sub(1) else { return Err(InsertError::Full) };
        self.room.set(room);
        self.writes.set(self.writes.get() + 1);
        flows.insert(*key, *entry);
        Ok(())
    }
    fn touch_flow(&self, key: &Tuple, touch: &FlowTouch) -> bool {
        let mut flows = self.flows.borrow_mut();
        let Some(entry) = flows.get_mut(key) else { return false };
        self.writes.set(self.writes.get() + 1);
        entry.last_seen = touch.now;
        *(if touch.reply { &mut entry.server } else { &mut entry.client }) = touch.seen;
        true
    }
    fn forget_flow(&self, key: &Tuple) {
        self.flows.borrow_mut().remove(key);
    }
    fn fragment(&self, key: &FragmentKey) -> Option<Ports> {
        self.fragments.borrow().get(key).copied()
    }
    fn remember_fragment(&self, key: &FragmentKey, ports: Ports) {
        self.fragments.borrow_mut().insert(*key, ports);
    }
    fn device(&self, device: u32) -> Option<DeviceEntry> {
        self.devices.get(&device).copied()
    }
    fn settings(&self) -> PacketSettings {
        self.settings
    }
    fn account(&self, service: u32, flows: u32, bytes: u32, reply: bool) {
        let mut carried = self.carried.borrow_mut();
        let carried = carried.entry(service).or_default();
        carried.flows += flows;
        *(if reply { &mut carried.to_client } else { &mut carried.from_client }) += bytes;
    }
}

/// The datapath's maps are those of its own tests.
macro_rules! as_in_fake {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Tables for World {
            fn watched(&self) -> bool {
                self.watched
            }
            fn show(&self, build: impl FnOnce() -> TraceEvent) {
                assert!(self.watched, "nobody watches: an event was built in vain");
                self.shown.borrow_mut().push(build());
            }
            $(fn $name(&self, $($argument: $type),*) -> $result {
                self.fake.$name($($argument),*)
            })*
        }
    };
}

as_in_fake! {
    frontend4(key: &FrontendKey4) -> Option<FrontendValue>;
    frontend6(key: &FrontendKey6) -> Option<FrontendValue>;
    service_entry(service: u32) -> Option<ServiceEntry>;
    slot(index: u32) -> Option<BackendRef>;
    backend(index: u32) -> Option<BackendEntry>;
    udp_flow(key: &SocketKey) -> Option<BackendRef>;
    remember_udp_flow(key: &SocketKey, backend: BackendRef) -> Result<(), Full>;
    reverse(key: &SocketKey) -> Option<ReverseEntry>;
    remember_reverse(key: &SocketKey, entry: &ReverseEntry) -> Result<(), Full>;
    forget_reverse(key: &SocketKey) -> ();
    affinity(key: &AffinityKey) -> Option<AffinityEntry>;
    remember_affinity(key: &AffinityKey, entry: &AffinityEntry) -> Result<(), Full>;
    in_source_ranges(service: u32, source: &Address) -> bool;
    network(address: &Address) -> Option<u32>;
    node_flags() -> NodeFlags;
    now() -> u64;
    random() -> u32;
    count(counter: Counter) -> ();
}
