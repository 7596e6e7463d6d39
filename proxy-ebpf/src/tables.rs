//! [`Tables`] over the kernel's maps. Values are copied out at once: the entry behind a pointer may
//! be given to another key, or be written by the agent, while the program runs.

use crate::globals;
use crate::maps::{
    AFFINITY, BACKENDS, COUNTERS, EVENTS, FORMER_AFFINITY, FORMER_REVERSE, FORMER_UDP, FRONTENDS4,
    FRONTENDS6, NETWORKS, NODE, REVERSE, SERVICES, SLOTS, SOURCE_RANGES, STATS, TRACE, UDP_FLOWS,
};
use aya_ebpf::{
    bindings::BPF_ANY,
    btf_maps::lpm_trie::Key,
    helpers::{bpf_get_prandom_u32, bpf_ktime_get_ns},
};
use core::ptr;
use proxy_common::{
    abi::{
        Address, AffinityEntry, AffinityKey, BackendEntry, BackendRef, Counter, FrontendKey4, FrontendKey6,
        FrontendValue, NodeFlags, ReverseEntry, ServiceEntry, SocketKey, SourceRangeKey, TraceEvent,
        TraceLease,
    },
    datapath::{Full, Tables},
};

/// The maps of [`crate::maps`].
pub struct KernelTables;

/// Reads a value of a map once: the compiler does not repeat a volatile load, nor split one of a
/// single number.
#[inline(always)]
pub(crate) fn load<T: Copy>(pointer: *const T) -> T {
    // SAFETY: every caller passes a pointer that a map look-up gave out, or a field of it, so it is
    // aligned and stays readable until the program ends (maps live as long as their programs, and
    // hash entries are freed by RCU). Any bytes are a valid T: all ABI types are plain old data.
    unsafe { ptr::read_volatile(pointer) }
}

/// Asks for the look-up of a new entry of an LRU map: one that was never looked up is the first to make room, before
/// those of flows that ended long ago (`__local_list_pop_pending`, kernel/bpf/bpf_lru_list.c).
#[inline(always)]
pub(crate) fn keep<T>(_found: Option<*const T>) {}

/// [`load`] of one field of an entry.
macro_rules! load_field {
    ($entry:ident.$field:ident) => {{
        // SAFETY: the caller's pointer is that of a whole entry, which a map look-up gave out.
        load(unsafe { &raw const (*$entry).$field })
    }};
}

#[inline(always)]
fn affinity(entry: *const AffinityEntry) -> AffinityEntry {
    // SAFETY: `entry` points to a whole AffinityEntry of a map. What another key's reuse of an evicted
    // entry could mix in is checked against the backend: at worst a client changes its endpoint.
    unsafe { ptr::read(entry) }
}

impl Tables for KernelTables {
    #[inline(always)]
    fn zero(&self) -> u32 {
        globals::zero()
    }

    #[inline(always)]
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue> {
        FRONTENDS4.get_ptr(key).map(load)
    }

    #[inline(always)]
    fn frontend6(&self, key: &FrontendKey6) -> Option<FrontendValue> {
        FRONTENDS6.get_ptr(key).map(load)
    }

    #[inline(always)]
    fn service_entry(&self, service: u32) -> Option<ServiceEntry> {
        let entry = SERVICES.get_ptr(service)?;
        Some(ServiceEntry {
            cluster: load_field!(entry.cluster),
            local: load_field!(entry.local),
            affinity_seconds: load_field!(entry.affinity_seconds),
            flags: load_field!(entry.flags),
            ..ServiceEntry::default()
        })
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<BackendRef> {
        SLOTS.get_ptr(index).map(load)
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<BackendEntry> {
        let entry = BACKENDS.get_ptr(index)?;
        // SAFETY: `entry` points to a whole BackendEntry of the map. The load need not be one: of an
        // entry that a program can reach, only flags and generation ever change while it runs, by one
        // 64-bit store; either half of it is enough to notice that the entry was freed. Address and port
        // change only after a grace period.
        Some(unsafe { ptr::read(entry) })
    }

    #[inline(always)]
    fn udp_flow(&self, key: &SocketKey) -> Option<BackendRef> {
        let mut entry = UDP_FLOWS.get_ptr(key);
        if globals::is_bridge() && entry.is_none() {
            entry = FORMER_UDP.get_ptr(key);
        }
        entry.map(load)
    }

    #[inline(always)]
    fn remember_udp_flow(&self, key: &SocketKey, backend: BackendRef) -> Result<(), Full> {
        UDP_FLOWS.insert(key, backend, BPF_ANY.into()).map_err(|_| Full)?;
        keep(UDP_FLOWS.get_ptr(key));
        Ok(())
    }

    #[inline(always)]
    fn reverse(&self, key: &SocketKey) -> Option<ReverseEntry> {
        let mut entry = REVERSE.get_ptr(key);
        if globals::is_bridge() && entry.is_none() {
            entry = FORMER_REVERSE.get_ptr(key);
        }
        let entry = entry?;
        // SAFETY: `entry` points to a whole ReverseEntry of the map. Only this socket's own calls write
        // this key; what another key's reuse of the evicted entry could mix in is an address shown
        // wrongly once, never a wrong destination.
        Some(unsafe { ptr::read(entry) })
    }

    #[inline(always)]
    fn remember_reverse(&self, key: &SocketKey, entry: &ReverseEntry) -> Result<(), Full> {
        REVERSE.insert(key, entry, BPF_ANY.into()).map_err(|_| Full)?;
        keep(REVERSE.get_ptr(key));
        Ok(())
    }

    #[inline(always)]
    fn forget_reverse(&self, key: &SocketKey) {
        // An entry that is absent already is the usual case: most sockets never dial a service.
        let _ = REVERSE.remove(key);
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<AffinityEntry> {
        let entry = AFFINITY.get_ptr(key).map(affinity);
        if globals::is_bridge() {
            let former = FORMER_AFFINITY.get_ptr(key).map(affinity);
            return match (entry, former) {
                (Some(entry), Some(former)) if former.last_flow > entry.last_flow => Some(former),
                (None, former) => former,
                (entry, _) => entry,
            };
        }
        entry
    }

    #[inline(always)]
    fn remember_affinity(&self, key: &AffinityKey, entry: &AffinityEntry) -> Result<(), Full> {
        AFFINITY.insert(key, entry, BPF_ANY.into()).map_err(|_| Full)?;
        keep(AFFINITY.get_ptr(key));
        Ok(())
    }

    #[inline(always)]
    fn in_source_ranges(&self, service: u32, source: &Address) -> bool {
        let SourceRangeKey { prefix_len, service, address } = SourceRangeKey::new(service, *source, 128);
        let [a, b, c, d] = address.words;
        SOURCE_RANGES.get(&Key::new(prefix_len, [service, a, b, c, d])).is_some()
    }

    #[inline(always)]
    fn network(&self, address: &Address) -> Option<u32> {
        NETWORKS.get(&Key::new(128, address.words)).map(
            #[inline(always)]
            |network| load(network),
        )
    }

    #[inline(always)]
    fn node_flags(&self) -> NodeFlags {
        let Some(entry) = NODE.get_ptr(0) else { return NodeFlags::default() };
        // SAFETY: `entry` points to a whole NodeEntry of the map.
        load(unsafe { &raw const (*entry).flags })
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_ktime_get_ns() }
    }

    #[inline(always)]
    fn random(&self) -> u32 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_get_prandom_u32() }
    }

    #[inline(always)]
    fn count(&self, counter: Counter) {
        let Some(total) = COUNTERS.get_ptr_mut(counter as u32) else { return };
        // A task that pre-empts this one between load and store loses one count: cheaper than an atomic
        // instruction in every call.
        let next = load(total.cast_const()).wrapping_add(1);
        // SAFETY: `total` points to this CPU's u64 of the map.
        unsafe { ptr::write_volatile(total, next) };
    }

    #[inline(always)]
    fn count_flow(&self, service: u32) {
        let Some(stats) = STATS.get_ptr_mut(service) else { return };
        // SAFETY: `stats` points to this CPU's ServiceStats of the map, and this only makes the address of a field.
        let flows = unsafe { &raw mut (*stats).flows };
        // As for COUNTERS.
        let next = load(flows.cast_const()).wrapping_add(1);
        // SAFETY: as above.
        unsafe { ptr::write_volatile(flows, next) };
    }

    #[inline(always)]
    fn watched(&self) -> bool {
        let lease = TRACE.get_ptr(0).map_or(TraceLease::default(), load);
        lease.0 != 0 && self.now() < lease.0
    }

    #[inline(always)]
    fn show(&self, build: impl FnOnce() -> TraceEvent) {
        let Some(mut event) = EVENTS.reserve_untyped::<TraceEvent>(0) else {
            self.count(Counter::TraceLost);
            return;
        };
        event.write(build());
        event.submit(0);
    }
}
