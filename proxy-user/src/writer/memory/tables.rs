//! The maps in memory as the datapath reads them.

use super::{MemoryMaps, PrefixKey};
use crate::writer::{FrontendKey, MapReader};
use proxy_common::{
    abi::{
        Address, AffinityEntry, AffinityKey, BackendEntry, BackendRef, Counter, FrontendKey4, FrontendKey6,
        FrontendValue, NodeFlags, ReverseEntry, ServiceEntry, SocketKey,
    },
    datapath::{Full, Tables},
};

impl MemoryMaps {
    /// The value of the longest prefix that `is_in` says the address is in.
    fn longest(&self, is_in: impl Fn(&PrefixKey) -> Option<u32>) -> Option<u32> {
        let found = self.prefixes.iter().filter_map(|(key, value)| Some((is_in(key)?, *value)));
        found.max().map(|(_, value)| value)
    }
}

/// Whether the first `bits` bits of two addresses are the same.
fn has_prefix(address: &Address, prefix: &Address, bits: u32) -> bool {
    let number = |address: &Address| {
        address.words.iter().fold(0_u128, |sum, word| sum << u32::BITS | u128::from(u32::from_be(*word)))
    };
    let differ = number(address) ^ number(prefix);
    differ.leading_zeros() >= bits
}

impl Tables for MemoryMaps {
    fn frontend4(&self, key: &FrontendKey4) -> Option<FrontendValue> {
        self.frontends.get(&FrontendKey::V4(*key)).copied()
    }

    fn frontend6(&self, key: &FrontendKey6) -> Option<FrontendValue> {
        self.frontends.get(&FrontendKey::V6(*key)).copied()
    }

    fn service_entry(&self, service: u32) -> Option<ServiceEntry> {
        self.service(service)
    }

    fn slot(&self, index: u32) -> Option<BackendRef> {
        MapReader::slot(self, index)
    }

    fn backend(&self, index: u32) -> Option<BackendEntry> {
        MapReader::backend(self, index)
    }

    fn udp_flow(&self, key: &SocketKey) -> Option<BackendRef> {
        self.udp_flows.borrow().get(key).copied()
    }

    fn remember_udp_flow(&self, key: &SocketKey, backend: BackendRef) -> Result<(), Full> {
        self.udp_flows.borrow_mut().insert(*key, backend);
        Ok(())
    }

    fn reverse(&self, key: &SocketKey) -> Option<ReverseEntry> {
        self.reverse.borrow().get(key).copied()
    }

    fn remember_reverse(&self, key: &SocketKey, entry: &ReverseEntry) -> Result<(), Full> {
        self.reverse.borrow_mut().insert(*key, *entry);
        Ok(())
    }

    fn forget_reverse(&self, key: &SocketKey) {
        self.reverse.borrow_mut().remove(key);
    }

    fn affinity(&self, key: &AffinityKey) -> Option<AffinityEntry> {
        self.affinities.borrow().get(key).copied()
    }

    fn remember_affinity(&self, key: &AffinityKey, entry: &AffinityEntry) -> Result<(), Full> {
        self.affinities.borrow_mut().insert(*key, *entry);
        Ok(())
    }

    fn in_source_ranges(&self, service: u32, source: &Address) -> bool {
        let found = self.longest(|key| match key {
            PrefixKey::Source(key) if key.service == service => {
                let bits = key.prefix_len.checked_sub(u32::BITS)?;
                has_prefix(source, &key.address, bits).then_some(bits)
            }
            _ => None,
        });
        found.is_some()
    }

    fn network(&self, address: &Address) -> Option<u32> {
        self.longest(|key| match key {
            PrefixKey::Network(key) => {
                has_prefix(address, &key.address, key.prefix_len).then_some(key.prefix_len)
            }
            PrefixKey::Source(_) => None,
        })
    }

    fn node_flags(&self) -> NodeFlags {
        self.node.flags
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn random(&self) -> u32 {
        let random = self.random.get();
        self.random.set(random.wrapping_add(0x9e37_79b1));
        random
    }

    fn count(&self, counter: Counter) {
        self.counters.borrow_mut()[counter as usize] += 1;
    }
}
