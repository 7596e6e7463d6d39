//! The maps. Layout and meaning stand in `proxy_common::abi`; the sizes here are defaults, which
//! the loader overrides (`EbpfLoader::map_max_entries`) and which `Capacities::default()` in
//! proxy-user repeats.
//!
//! The kernel keeps 15 bytes of a map's name. FRONTENDS4 and FRONTENDS6 are preallocated although
//! only userspace writes them: entries then lie side by side and a put never allocates memory.

use crate::{clock::Clock, skb::Scratch};
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, RingBuf, lpm_trie::Key},
    macros::btf_map,
};
use proxy_common::abi::{
    AffinityEntry, AffinityKey, AgentEntry, BackendEntry, BackendRef, Counter, DeviceEntry, FlowEntry,
    FragmentKey, FrontendKey4, FrontendKey6, FrontendValue, NetworkKey, NodeEntry, PacketSettings, Ports,
    ReverseEntry, ServiceEntry, ServiceStats, SocketKey, SourceRangeKey, TraceLease, TransitionEntry, Tuple,
};

/// Userspace maps the array into its memory and writes by plain stores (Linux 5.5).
const MMAPABLE: usize = BPF_F_MMAPABLE as usize;
/// Memory is taken as entries are written: for what only userspace writes, and rarely.
const NO_PREALLOC: usize = BPF_F_NO_PREALLOC as usize;

/// IPv4 frontends.
#[btf_map]
pub static FRONTENDS4: HashMap<FrontendKey4, FrontendValue, 16_384> = HashMap::new();

/// IPv6 frontends.
#[btf_map]
pub static FRONTENDS6: HashMap<FrontendKey6, FrontendValue, 16_384> = HashMap::new();

/// Service ports, by index.
#[btf_map]
pub static SERVICES: Array<ServiceEntry, 8_192, MMAPABLE> = Array::new();

/// Endpoint sets: each a range of slots.
#[btf_map]
pub static SLOTS: Array<BackendRef, 131_072, MMAPABLE> = Array::new();

/// Backends, by index.
#[btf_map]
pub static BACKENDS: Array<BackendEntry, 65_536, MMAPABLE> = Array::new();

/// Names of service ports, for `shunt` to show. No program reads them: being exported keeps the
/// map in the object (`#[used]` would, but in a second `.maps` section, which loaders refuse).
#[btf_map]
pub static NAMES: Array<u64, 65_536, MMAPABLE> = Array::new();

/// The backend that an unconnected UDP socket uses for a frontend. A released socket's entries are
/// not looked for: its cookie never comes back, and the least recently used entry goes first.
#[btf_map]
pub static UDP_FLOWS: LruHashMap<SocketKey, BackendRef, 32_768> = LruHashMap::new();

/// The frontend through which a socket reaches a backend.
#[btf_map]
pub static REVERSE: LruHashMap<SocketKey, ReverseEntry, 32_768> = LruHashMap::new();

/// The backend that a client keeps while its session affinity lasts.
#[btf_map]
pub static AFFINITY: LruHashMap<AffinityKey, AffinityEntry, 16_384> = LruHashMap::new();

/// Who may use load-balancer addresses: a [`SourceRangeKey`], its value a `SourceRule`. Sockets do not ask:
/// their source address is not chosen yet.
#[btf_map]
pub static SOURCE_RANGES: LpmTrie<[u32; 5], u32, 65_536> = LpmTrie::new();

/// What an address belongs to: a [`NetworkKey`], its value a `Network`.
#[btf_map]
pub static NETWORKS: LpmTrie<[u32; 4], u32, 65_536> = LpmTrie::new();

const _: () = assert!(size_of::<Key<[u32; 5]>>() == size_of::<SourceRangeKey>());
const _: () = assert!(size_of::<Key<[u32; 4]>>() == size_of::<NetworkKey>());

/// Facts about the node.
#[btf_map]
pub static NODE: Array<NodeEntry, 1, MMAPABLE> = Array::new();

/// Where packets are worked on: a program's stack has 512 bytes. Programs of one CPU do not interrupt each other.
#[btf_map]
pub static SCRATCH: PerCpuArray<Scratch, 1> = PerCpuArray::new();

/// The time as each CPU has read it last.
#[btf_map]
pub static CLOCK: PerCpuArray<Clock, 1> = PerCpuArray::new();

/// The stages of the packet path that are called on, by their numbers in `packet::Next`.
#[btf_map]
pub static STAGES: ProgramArray<4> = ProgramArray::new();

/// The flows that packets belong to, two entries each.
#[btf_map]
pub static FLOWS: LruHashMap<Tuple, FlowEntry, 65_536> = LruHashMap::new();

/// Ports of datagrams that came in fragments. A datagram's fragments follow each other closely.
#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, Ports, 2_048> = LruHashMap::new();

/// The devices that the packet programs are attached to.
#[btf_map]
pub static DEVICES: HashMap<u32, DeviceEntry, 4_096, NO_PREALLOC> = HashMap::new();

/// How the packet programs work.
#[btf_map]
pub static PACKETS: Array<PacketSettings, 1, MMAPABLE> = Array::new();

/// Until when somebody watches decisions.
#[btf_map]
pub static TRACE: Array<TraceLease, 1, MMAPABLE> = Array::new();

/// Decisions that somebody watches: TraceEvents. Its size is in bytes. libbpf refuses a ring buffer with a type of
/// values.
#[btf_map]
pub static EVENTS: RingBuf<(), 262_144> = RingBuf::new();

/// What each service port carries.
#[btf_map]
pub static STATS: PerCpuArray<ServiceStats, 8_192> = PerCpuArray::new();

/// Totals by reason.
#[btf_map]
pub static COUNTERS: PerCpuArray<u64, { Counter::COUNT }> = PerCpuArray::new();

/// What the agent says of itself. No program reads it (see [`NAMES`]).
#[btf_map]
pub static AGENT: Array<AgentEntry, 1, MMAPABLE> = Array::new();

/// How far it is from the maps before these to these.
#[btf_map]
pub static TRANSITION: Array<TransitionEntry, 1, MMAPABLE> = Array::new();

/// The programs that bridging ones have replaced, one map for each hook: since 6.17 the kernel puts only programs of one
/// expected_attach_type into a map.
#[btf_map]
pub static BEFORE_CONNECT4: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_CONNECT6: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_SENDMSG4: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_SENDMSG6: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_RECVMSG4: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_RECVMSG6: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_PEER4: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_PEER6: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static BEFORE_RELEASE: ProgramArray<1> = ProgramArray::new();

/// The same of the packet programs, by `packet::Hook`.
#[btf_map]
pub static BEFORE_PACKETS: ProgramArray<2> = ProgramArray::new();

/// What sockets and clients remember, as the programs before knew it: in bridging programs UDP_FLOWS of the maps before
/// these, where their entries have the same layout; else a map of its own and nothing in it.
#[btf_map]
pub static FORMER_UDP: HashMap<SocketKey, BackendRef, 1> = HashMap::new();
/// The same of REVERSE.
#[btf_map]
pub static FORMER_REVERSE: HashMap<SocketKey, ReverseEntry, 1> = HashMap::new();
/// The same of AFFINITY.
#[btf_map]
pub static FORMER_AFFINITY: HashMap<AffinityKey, AffinityEntry, 1> = HashMap::new();
