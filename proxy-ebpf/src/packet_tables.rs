//! [`PacketTables`] over the kernel's maps.

use crate::bridge;
use crate::clock;
use crate::maps::{DEVICES, FLOWS, FRAGMENTS, PACKETS, STATS};
use crate::tables::{KernelTables, keep, load};
use crate::words;
use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use core::ptr;
use proxy_common::{
    abi::{DeviceEntry, FlowEntry, FragmentKey, PacketSettings, Ports, Tuple},
    packet::{FlowTouch, InsertError, PacketTables, Unknown},
};

/// EEXIST of asm-generic/errno-base.h.
const EEXIST: i32 = 17;

/// Replaces one field of an entry that a map look-up gave out.
macro_rules! store_field {
    ($entry:ident.$field:ident = $value:expr) => {{
        // SAFETY: the caller's pointer is that of a whole entry, which a map look-up gave out.
        let field = unsafe { &raw mut (*$entry).$field };
        // SAFETY: as above; it stays writable until the program ends.
        unsafe { ptr::write_volatile(field, $value) };
    }};
}

impl PacketTables for KernelTables {
    #[inline(always)]
    fn unknown(&self) -> Unknown {
        bridge::unknown()
    }

    #[inline(always)]
    fn seconds(&self) -> u32 {
        clock::seconds(self)
    }

    #[inline(always)]
    fn flow(&self, key: &Tuple, into: &mut FlowEntry) -> bool {
        let Some(entry) = FLOWS.get_ptr(key) else { return false };
        // SAFETY: `entry` points to a whole FlowEntry of the map. Its addresses never change while it is this
        // key's. What another key's reuse of the evicted entry could mix in meets a packet whose flow was evicted
        // in that instant: at worst that one packet is lost.
        unsafe { words::copy::<{ size_of::<FlowEntry>() / 8 }>(entry.cast(), ptr::from_mut(into).cast()) };
        true
    }

    #[inline(always)]
    fn insert_flow(&self, key: &Tuple, entry: &FlowEntry) -> Result<(), InsertError> {
        FLOWS.insert(key, entry, BPF_NOEXIST.into()).map_err(
            #[inline(always)]
            |error| if error == -EEXIST { InsertError::Exists } else { InsertError::Full },
        )?;
        keep(FLOWS.get_ptr(key));
        Ok(())
    }

    #[inline(always)]
    fn touch_flow(&self, key: &Tuple, touch: &FlowTouch) -> bool {
        let Some(entry) = FLOWS.get_ptr_mut(key) else { return false };
        if touch.reply {
            store_field!(entry.server = touch.seen);
        } else {
            store_field!(entry.client = touch.seen);
        }
        store_field!(entry.last_seen = touch.now);
        true
    }

    #[inline(always)]
    fn forget_flow(&self, key: &Tuple) {
        // It may be gone already.
        let _ = FLOWS.remove(key);
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<Ports> {
        FRAGMENTS.get_ptr(key).map(load)
    }

    #[inline(always)]
    fn remember_fragment(&self, key: &FragmentKey, ports: Ports) {
        // Without room the later fragments are lost, and with them the datagram.
        let _ = FRAGMENTS.insert(key, ports, BPF_ANY.into());
    }

    #[inline(always)]
    fn device(&self, device: u32) -> Option<DeviceEntry> {
        let entry = DEVICES.get_ptr(device)?;
        // SAFETY: `entry` points to a whole DeviceEntry of the map. The agent replaces entries whole, by a new
        // element; this one stays until the program ends.
        Some(unsafe { ptr::read(entry) })
    }

    #[inline(always)]
    fn settings(&self) -> PacketSettings {
        PACKETS.get_ptr(0).map_or(PacketSettings::default(), load)
    }

    #[inline(always)]
    fn account(&self, service: u32, flows: u32, bytes: u32, reply: bool) {
        let Some(stats) = STATS.get_ptr_mut(service) else { return };
        // As for COUNTERS: a lost addition is cheaper than an atomic one.
        // SAFETY: `stats` points to this CPU's ServiceStats of the map.
        let before = unsafe { ptr::read(stats) };
        if flows != 0 {
            store_field!(stats.flows = before.flows.wrapping_add(u64::from(flows)));
        }
        if reply {
            store_field!(stats.bytes_to_clients = before.bytes_to_clients.wrapping_add(u64::from(bytes)));
        } else {
            store_field!(stats.bytes_to_backends = before.bytes_to_backends.wrapping_add(u64::from(bytes)));
        }
    }
}
