//! The eBPF object, as built from `proxy-ebpf` and committed: its maps by name and shape.

use super::attach::ProgramName;
use super::error::KernelError;
use super::shape::MapShape;
use crate::writer::Capacities;

/// The ELF file.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/shunt.bpf.o");

/// Name of a map: in the object, of its pin and, as far as 15 bytes go, in the kernel.
pub type MapName = &'static str;

/// IPv4 frontends, hash.
pub const FRONTENDS4: MapName = "FRONTENDS4";
/// IPv6 frontends, hash.
pub const FRONTENDS6: MapName = "FRONTENDS6";
/// Service ports, mapped array.
pub const SERVICES: MapName = "SERVICES";
/// Endpoint sets, mapped array.
pub const SLOTS: MapName = "SLOTS";
/// Backends, mapped array.
pub const BACKENDS: MapName = "BACKENDS";
/// Names of service ports, mapped array.
pub const NAMES: MapName = "NAMES";
/// Backends that UDP sockets remember, LRU hash.
pub const UDP_FLOWS: MapName = "UDP_FLOWS";
/// Frontends through which sockets reach backends, LRU hash.
pub const REVERSE: MapName = "REVERSE";
/// Backends that clients keep, LRU hash.
pub const AFFINITY: MapName = "AFFINITY";
/// Clients that may use load-balancer addresses, longest-prefix trie.
pub const SOURCE_RANGES: MapName = "SOURCE_RANGES";
/// What addresses belong to, longest-prefix trie.
pub const NETWORKS: MapName = "NETWORKS";
/// Facts about the node, mapped array.
pub const NODE: MapName = "NODE";
/// Flows that packets belong to, LRU hash.
pub const FLOWS: MapName = "FLOWS";
/// Ports of datagrams in fragments, LRU hash.
pub const FRAGMENTS: MapName = "FRAGMENTS";
/// Devices that the packet programs are attached to, hash.
pub const DEVICES: MapName = "DEVICES";
/// Stages of the packet path, programs.
pub const STAGES: MapName = "STAGES";
/// Where packets are worked on, per-CPU array.
pub const SCRATCH: MapName = "SCRATCH";
/// How the packet programs work, mapped array.
pub const PACKETS: MapName = "PACKETS";
/// Until when somebody watches decisions, mapped array.
pub const TRACE: MapName = "TRACE";
/// Decisions that somebody watches, ring buffer.
pub const EVENTS: MapName = "EVENTS";
/// What each service port carries, per-CPU array.
pub const STATS: MapName = "STATS";
/// Totals by reason, per-CPU array.
pub const COUNTERS: MapName = "COUNTERS";

/// What the agent says of itself, mapped array.
pub const AGENT: MapName = "AGENT";
/// How far it is from the maps before these to these, mapped array.
pub const TRANSITION: MapName = "TRANSITION";
/// The packet programs that bridging ones have replaced, programs by `proxy_common::packet::Hook`.
pub const BEFORE_PACKETS: MapName = "BEFORE_PACKETS";

/// The maps of the socket programs that bridging ones have replaced, and which program each is for.
pub const BEFORE: [(MapName, ProgramName); 9] = [
    ("BEFORE_CONNECT4", "connect4"),
    ("BEFORE_CONNECT6", "connect6"),
    ("BEFORE_SENDMSG4", "sendmsg4"),
    ("BEFORE_SENDMSG6", "sendmsg6"),
    ("BEFORE_RECVMSG4", "recvmsg4"),
    ("BEFORE_RECVMSG6", "recvmsg6"),
    ("BEFORE_PEER4", "getpeername4"),
    ("BEFORE_PEER6", "getpeername6"),
    ("BEFORE_RELEASE", "sock_release"),
];

/// The programs that stand in [`STAGES`], by index: those of `proxy_common::packet::Next` that are no end.
pub const STAGE_PROGRAMS: [&str; 4] = ["stage_begin", "stage_error", "stage_send", "stage_answer"];

/// Every map that is pinned.
pub const MAPS: [MapName; 34] = [
    FRONTENDS4,
    FRONTENDS6,
    SERVICES,
    SLOTS,
    BACKENDS,
    NAMES,
    UDP_FLOWS,
    REVERSE,
    AFFINITY,
    SOURCE_RANGES,
    NETWORKS,
    NODE,
    FLOWS,
    FRAGMENTS,
    DEVICES,
    STAGES,
    SCRATCH,
    PACKETS,
    TRACE,
    EVENTS,
    STATS,
    COUNTERS,
    AGENT,
    TRANSITION,
    BEFORE[0].0,
    BEFORE[1].0,
    BEFORE[2].0,
    BEFORE[3].0,
    BEFORE[4].0,
    BEFORE[5].0,
    BEFORE[6].0,
    BEFORE[7].0,
    BEFORE[8].0,
    BEFORE_PACKETS,
];

/// The shape of each map in [`MAPS`], as the object defines it.
///
/// # Errors
/// [`KernelError::Parse`], or [`KernelError::Object`] where a map is missing.
pub fn shapes() -> Result<Vec<(MapName, MapShape)>, KernelError> {
    let object = aya_obj::Object::parse(OBJECT)?;
    MAPS.into_iter()
        .map(|name| {
            let map = object.maps.get(name).ok_or(KernelError::Object { object: name })?;
            Ok((name, MapShape::from(map)))
        })
        .collect()
}

/// The number of entries that a map gets when it is made; `None` where the object decides.
pub(super) fn capacity(name: MapName, capacities: &Capacities) -> Option<u32> {
    capacity_mut(name, &mut capacities.clone()).copied()
}

/// The same, to change; some maps share a size.
pub(super) fn capacity_mut(name: MapName, capacities: &mut Capacities) -> Option<&mut u32> {
    match name {
        FRONTENDS4 | FRONTENDS6 => Some(&mut capacities.frontends),
        SERVICES | STATS => Some(&mut capacities.services),
        SLOTS => Some(&mut capacities.slots),
        BACKENDS => Some(&mut capacities.backends),
        NAMES => Some(&mut capacities.name_cells),
        UDP_FLOWS | REVERSE => Some(&mut capacities.sockets),
        AFFINITY => Some(&mut capacities.affinities),
        FLOWS => Some(&mut capacities.flows),
        SOURCE_RANGES | NETWORKS => Some(&mut capacities.prefixes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aya_obj::generated::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_map_type as kind};
    use proxy_common::abi::{
        AffinityEntry, AffinityKey, AgentEntry, BackendEntry, BackendRef, Counter, DeviceEntry, FlowEntry,
        FragmentKey, FrontendKey4, FrontendKey6, FrontendValue, NetworkKey, NodeEntry, PacketSettings, Ports,
        ReverseEntry, ServiceEntry, ServiceStats, SocketKey, SourceRangeKey, TraceLease, TransitionEntry,
        Tuple,
    };

    /// Bytes of a value of SCRATCH. It belongs to the ABI as the types do: a program meets what one of another agent
    /// left there.
    const SCRATCH_SIZE: usize = 632;

    #[test]
    fn the_object_defines_every_map_as_the_abi_does() {
        let own = |name| match name {
            NODE | PACKETS | TRACE | AGENT | TRANSITION => 1,
            BEFORE_PACKETS => 2,
            name if name.starts_with("BEFORE_") => 1,
            FRAGMENTS => 2_048,
            DEVICES => 4_096,
            STAGES => 4,
            SCRATCH => 1,
            EVENTS => 262_144,
            _ => Counter::COUNT as u32,
        };
        let entries = |name| capacity(name, &Capacities::default()).unwrap_or_else(|| own(name));
        let shape = |name, kind: kind, key: usize, value: usize, flags| {
            let (map_type, key_size, value_size) = (kind as u32, key as u32, value as u32);
            (name, MapShape { map_type, key_size, value_size, max_entries: entries(name), flags })
        };
        let hash = |name, key| shape(name, kind::BPF_MAP_TYPE_HASH, key, size_of::<FrontendValue>(), 0);
        let array = |name, value| shape(name, kind::BPF_MAP_TYPE_ARRAY, 4, value, BPF_F_MMAPABLE);
        let lru = |name, key, value| shape(name, kind::BPF_MAP_TYPE_LRU_HASH, key, value, 0);
        let programs = |name| shape(name, kind::BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 0);
        let trie = |name, key| shape(name, kind::BPF_MAP_TYPE_LPM_TRIE, key, 4, BPF_F_NO_PREALLOC);
        assert_eq!(
            shapes().unwrap(),
            [
                hash(FRONTENDS4, size_of::<FrontendKey4>()),
                hash(FRONTENDS6, size_of::<FrontendKey6>()),
                array(SERVICES, size_of::<ServiceEntry>()),
                array(SLOTS, size_of::<BackendRef>()),
                array(BACKENDS, size_of::<BackendEntry>()),
                array(NAMES, size_of::<u64>()),
                lru(UDP_FLOWS, size_of::<SocketKey>(), size_of::<BackendRef>()),
                lru(REVERSE, size_of::<SocketKey>(), size_of::<ReverseEntry>()),
                lru(AFFINITY, size_of::<AffinityKey>(), size_of::<AffinityEntry>()),
                trie(SOURCE_RANGES, size_of::<SourceRangeKey>()),
                trie(NETWORKS, size_of::<NetworkKey>()),
                array(NODE, size_of::<NodeEntry>()),
                lru(FLOWS, size_of::<Tuple>(), size_of::<FlowEntry>()),
                lru(FRAGMENTS, size_of::<FragmentKey>(), size_of::<Ports>()),
                shape(DEVICES, kind::BPF_MAP_TYPE_HASH, 4, size_of::<DeviceEntry>(), BPF_F_NO_PREALLOC),
                programs(STAGES),
                shape(SCRATCH, kind::BPF_MAP_TYPE_PERCPU_ARRAY, 4, SCRATCH_SIZE, 0),
                array(PACKETS, size_of::<PacketSettings>()),
                array(TRACE, size_of::<TraceLease>()),
                shape(EVENTS, kind::BPF_MAP_TYPE_RINGBUF, 0, 0, 0),
                shape(STATS, kind::BPF_MAP_TYPE_PERCPU_ARRAY, 4, size_of::<ServiceStats>(), 0),
                shape(COUNTERS, kind::BPF_MAP_TYPE_PERCPU_ARRAY, 4, size_of::<u64>(), 0),
                array(AGENT, size_of::<AgentEntry>()),
                array(TRANSITION, size_of::<TransitionEntry>()),
                programs("BEFORE_CONNECT4"),
                programs("BEFORE_CONNECT6"),
                programs("BEFORE_SENDMSG4"),
                programs("BEFORE_SENDMSG6"),
                programs("BEFORE_RECVMSG4"),
                programs("BEFORE_RECVMSG6"),
                programs("BEFORE_PEER4"),
                programs("BEFORE_PEER6"),
                programs("BEFORE_RELEASE"),
                programs(BEFORE_PACKETS),
            ]
        );
    }
}
