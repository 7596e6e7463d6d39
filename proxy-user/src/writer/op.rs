//! What a plan consists of.

use proxy_common::abi::{
    Address, BackendEntry, BackendFlags, BackendRef, EndpointSet, FrontendKey4, FrontendKey6, NetworkKey,
    NodeEntry, Scope, ServiceEntry, ServiceFlags, SourceRangeKey,
};
use smol_str::SmolStr;
use std::net::IpAddr;

/// Cells at the head of NAMES that are set aside for this node's name and zone: a power of two.
pub const NODE_CELLS: u32 = 64;

/// Key of a frontend of either family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FrontendKey {
    /// A key of FRONTENDS4.
    V4(FrontendKey4),
    /// A key of FRONTENDS6.
    V6(FrontendKey6),
}

impl FrontendKey {
    /// The key of an address in the map of its family; `port` in host byte order.
    #[must_use]
    pub fn new(address: IpAddr, port: u16, protocol: u8, scope: Scope) -> Self {
        let (address, port, scope) = (Address::from(address), port.to_be(), scope as u8);
        match address.v4_word() {
            Some(address) => Self::V4(FrontendKey4 { address, port, protocol, scope }),
            None => Self::V6(FrontendKey6 { address: address.words, port, protocol, scope }),
        }
    }

    /// Which destination addresses it stands for: a [`Scope`].
    #[must_use]
    pub const fn scope(&self) -> u8 {
        match self {
            Self::V4(key) => key.scope,
            Self::V6(key) => key.scope,
        }
    }

    /// Bits of this key that its value carries: see [`proxy_common::abi::FrontendValue`].
    #[must_use]
    pub const fn check(&self) -> u32 {
        match self {
            Self::V4(key) => key.check(),
            Self::V6(key) => key.check(),
        }
    }
}

/// Key of a longest-prefix map.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PrefixKey {
    /// A key of SOURCE_RANGES; its value is a [`proxy_common::abi::SourceRule`].
    Source(SourceRangeKey),
    /// A key of NETWORKS; its value is a [`proxy_common::abi::Network`].
    Network(NetworkKey),
}

/// A write to a mapped array: a few stores to memory, no system call, cannot fail.
///
/// The order of stores in a plan is the order in which other CPUs must see them; the writer
/// publishes each with release ordering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Store {
    /// BACKENDS: fills an entry that no slot and no valid memory names.
    Backend {
        /// Index of the entry.
        index: u32,
        /// Its new content.
        entry: BackendEntry,
    },
    /// BACKENDS: what an entry is from now on, by one 64-bit store. Without [`BackendFlags::LIVE`] and with
    /// the next generation it is freed, and memories of it are stale. Address and port stay, for programs
    /// that have already picked it.
    BackendState {
        /// Index of the entry.
        index: u32,
        /// Its flags from now on.
        flags: BackendFlags,
        /// Its generation from now on.
        generation: u32,
    },
    /// SLOTS: one 64-bit store.
    Slot {
        /// Index of the slot.
        index: u32,
        /// What it names from now on.
        backend: BackendRef,
    },
    /// SERVICES: publishes the cluster set by one 64-bit store.
    ClusterSet {
        /// Index of the service port.
        service: u32,
        /// The set from now on.
        set: EndpointSet,
    },
    /// SERVICES: publishes the local set by one 64-bit store.
    LocalSet {
        /// Index of the service port.
        service: u32,
        /// The set from now on.
        set: EndpointSet,
    },
    /// SERVICES: policies and name of a service port; its sets stay.
    Policy {
        /// Index of the service port.
        service: u32,
        /// Idle time of an affinity, seconds; zero without.
        affinity_seconds: u32,
        /// Policies.
        flags: ServiceFlags,
        /// First cell of its name in NAMES, plus one.
        name: u32,
        /// Where the service answers health checks; zero for nowhere. Host byte order.
        health_check_node_port: u16,
    },
    /// SERVICES: overwrites a whole entry that no frontend names (on release: with zeros).
    Service {
        /// Index of the service port.
        service: u32,
        /// Its new content.
        entry: ServiceEntry,
    },
    /// NODE: facts about the node, by one store.
    Node {
        /// The entry from now on.
        entry: NodeEntry,
    },
    /// NAMES: writes a text at a cell, preceded by its length (u16, native byte order) and followed
    /// by zeros up to the end of the last cell it touches.
    Name {
        /// Index of the first 8-byte cell.
        cell: u32,
        /// The text, at most 65,000 bytes.
        text: SmolStr,
    },
    /// SLOTS: zeros a range that was released after a grace period.
    ClearSlots {
        /// First slot.
        base: u32,
        /// Number of slots.
        count: u32,
    },
    /// NAMES: zeros a range of cells that was released after a grace period.
    ClearName {
        /// First cell.
        cell: u32,
        /// Number of cells.
        count: u32,
    },
}
