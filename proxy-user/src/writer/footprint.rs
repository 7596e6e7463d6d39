//! Kernel memory of the maps, reckoned before they are made: as the kernel itself counts it in fdinfo since Linux 6.4
//! (`map_mem_usage` of kernel/bpf/{arraymap,hashtab,lpm_trie}.c), on a 64-bit kernel. A kernel test compares the two.

use super::Capacities;
use proxy_common::abi::{
    AffinityEntry, AffinityKey, BackendEntry, BackendRef, FlowEntry, FrontendKey4, FrontendKey6,
    FrontendValue, NetworkKey, ReverseEntry, ServiceEntry, ServiceStats, SocketKey, SourceRangeKey, Tuple,
};

/// Bytes of the maps whose size does not depend on [`Capacities`], but for what they hold for each CPU: EVENTS (270 KiB),
/// FRAGMENTS (225 KiB), DEVICES (65 KiB), and those of one entry or a few.
const OTHERS: u64 = 768 << 10;

/// Bytes of these for each CPU: where packets are worked on, and the counters.
const OTHERS_PER_CPU: u64 = 2 << 10;

/// `struct bpf_array`, `struct bpf_htab`, `struct htab_elem` before its key, a bucket, `struct lpm_trie_node`.
const ARRAY: u64 = 312;
const HASH: u64 = 896;
const ELEMENT: u64 = 48;
const BUCKET: u64 = 16;
const NODE: u64 = 40;

const PAGE: u64 = 4096;

/// Bytes of each map of these sizes on a machine with `cpus` possible CPUs. SOURCE_RANGES and NETWORKS take memory only as
/// they fill; here they count as full.
#[must_use]
pub fn footprint(capacities: &Capacities, cpus: u32) -> [(&'static str, u64); 13] {
    let Capacities { frontends, services, slots, backends, name_cells, sockets, affinities, flows, prefixes } =
        *capacities;
    [
        ("FRONTENDS4", hash::<FrontendKey4, FrontendValue>(frontends, cpus)),
        ("FRONTENDS6", hash::<FrontendKey6, FrontendValue>(frontends, cpus)),
        ("SERVICES", mapped::<ServiceEntry>(services)),
        ("SLOTS", mapped::<BackendRef>(slots)),
        ("BACKENDS", mapped::<BackendEntry>(backends)),
        ("NAMES", mapped::<u64>(name_cells)),
        ("UDP_FLOWS", lru::<SocketKey, BackendRef>(sockets)),
        ("REVERSE", lru::<SocketKey, ReverseEntry>(sockets)),
        ("AFFINITY", lru::<AffinityKey, AffinityEntry>(affinities)),
        ("SOURCE_RANGES", trie::<SourceRangeKey>(prefixes)),
        ("NETWORKS", trie::<NetworkKey>(prefixes)),
        ("FLOWS", lru::<Tuple, FlowEntry>(flows)),
        ("STATS", per_cpu::<ServiceStats>(services, cpus)),
    ]
}

/// Bytes of all maps together, those included that are always of one size.
#[must_use]
pub fn total(capacities: &Capacities, cpus: u32) -> u64 {
    let sized: u64 = footprint(capacities, cpus).iter().map(|(_, bytes)| bytes).sum();
    sized + OTHERS + u64::from(cpus) * OTHERS_PER_CPU
}

/// A preallocated hash map: buckets, elements, and one element and pointer more for each CPU.
const fn hash<K, V>(entries: u32, cpus: u32) -> u64 {
    let spare = cpus as u64 * (element::<K, V>() + size_of::<u64>() as u64);
    HASH + buckets(entries) + entries as u64 * element::<K, V>() + spare
}

const fn lru<K, V>(entries: u32) -> u64 {
    HASH + buckets(entries) + entries as u64 * element::<K, V>()
}

const fn element<K, V>() -> u64 {
    ELEMENT + (size_of::<K>().next_multiple_of(8) + size_of::<V>().next_multiple_of(8)) as u64
}

const fn buckets(entries: u32) -> u64 {
    (entries as u64).next_power_of_two() * BUCKET
}

/// An array that is mapped: its head and its values begin on pages of their own.
const fn mapped<V>(entries: u32) -> u64 {
    PAGE + (entries as u64 * size_of::<V>() as u64).next_multiple_of(PAGE)
}

const fn per_cpu<V>(entries: u32, cpus: u32) -> u64 {
    let values = cpus as u64 * size_of::<V>().next_multiple_of(8) as u64;
    ARRAY + entries as u64 * (size_of::<u64>() as u64 + values)
}

/// The key begins with the length of its prefix, which the node has itself.
const fn trie<K>(entries: u32) -> u64 {
    entries as u64 * (NODE + size_of::<K>() as u64 - 4 + size_of::<u32>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by bpftool on Linux 6.18 with two CPUs, and read from fdinfo.
    #[test]
    fn the_kernel_counts_so() {
        assert_eq!(hash::<FrontendKey4, FrontendValue>(16_384, 2), 1_311_760);
        assert_eq!(hash::<FrontendKey4, FrontendValue>(1_000, 2), 81_424);
        assert_eq!(hash::<[u64; 3], u64>(16_384, 2), 1_573_936);
        assert_eq!(lru::<SocketKey, BackendRef>(32_768), 3_408_768);
        assert_eq!(lru::<[u64; 5], [u64; 9]>(1_000), 177_280);
        assert_eq!(mapped::<ServiceEntry>(8_192), 266_240);
        assert_eq!(mapped::<ServiceEntry>(1), 8_192);
        assert_eq!(per_cpu::<ServiceStats>(8_192, 2), 459_064);
        assert_eq!(per_cpu::<ServiceStats>(100, 2), 5_912);
    }
}
