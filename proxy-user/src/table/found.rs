//! The endpoints of a service port that is taken over, each once, though both sets name it.

use super::{
    port::{Held, Which},
    spec::{Member, Membership},
};
use ahash::RandomState;
use hashbrown::HashTable;
use proxy_common::abi::{BackendEntry, BackendFlags};

/// What the sets of service ports name, one port after the other. A service may have very many endpoints: none
/// of them is looked for by walking the others.
#[derive(Default)]
pub(super) struct Found {
    members: Vec<Held>,
    places: HashTable<u32>,
    hasher: RandomState,
    #[cfg(test)]
    compared: usize,
}

impl Found {
    /// Takes a backend of a set in; false if the set names it already, or if another backend has the same endpoint.
    pub fn join(&mut self, backend: u32, entry: &BackendEntry, which: Which) -> bool {
        let sets = Membership { cluster: which == Which::Cluster, local: which == Which::Local };
        let new = Held { member: member(entry, sets), backend, flags: entry.flags };
        let (members, key) = (&mut self.members, new.member.key());
        #[cfg(test)]
        let compared = &mut self.compared;
        let is_it = |place: &u32| {
            #[cfg(test)]
            {
                *compared += 1;
            }
            members[*place as usize].member.key() == key
        };
        let hash = self.hasher.hash_one(key);
        if let Some(place) = self.places.find(hash, is_it).copied() {
            let held = &mut members[place as usize];
            if held.backend != backend || which.has(&held.member) {
                return false;
            }
            held.member.sets.cluster |= sets.cluster;
            held.member.sets.local |= sets.local;
            return true;
        }
        let place = members.len() as u32;
        members.push(new);
        let (members, hasher) = (&self.members, &self.hasher);
        let rehash = |place: &u32| hasher.hash_one(members[*place as usize].member.key());
        self.places.insert_unique(hash, place, rehash);
        true
    }

    /// What was taken in, ascending by address and port; nothing is left for the next service port.
    pub fn take(&mut self) -> Vec<Held> {
        self.places.clear();
        let mut members = std::mem::take(&mut self.members);
        members.sort_unstable_by_key(|held| held.member.key());
        members
    }
}

/// The endpoint that a backend stands for.
pub(super) const fn member(entry: &BackendEntry, sets: Membership) -> Member {
    let local = entry.flags.contains(BackendFlags::LOCAL);
    let flags = if local { BackendFlags::LOCAL } else { BackendFlags(0) };
    Member { address: entry.address, port: entry.port, flags, sets }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn backend(number: u32) -> BackendEntry {
        let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)).into();
        BackendEntry { address, port: 80, flags: BackendFlags::LIVE, ..BackendEntry::default() }
    }

    #[test]
    fn each_endpoint_counts_once() {
        let mut found = Found::default();
        assert!(found.join(7, &backend(2), Which::Cluster) && found.join(8, &backend(1), Which::Cluster));
        assert!(!found.join(7, &backend(2), Which::Cluster), "doubled in one set");
        assert!(found.join(7, &backend(2), Which::Local), "and in the other set");
        assert!(!found.join(9, &backend(1), Which::Local), "another backend of the same endpoint");
        let members = found.take();
        let shown =
            members.iter().map(|held| (held.backend, held.member.sets.cluster, held.member.sets.local));
        assert_eq!(shown.collect::<Vec<_>>(), [(8, true, false), (7, true, true)]);
        assert!(
            found.take().is_empty() && found.join(9, &backend(1), Which::Local),
            "the next one begins anew"
        );
    }

    #[test]
    fn a_large_service_is_not_walked_for_each_of_its_endpoints() {
        let (mut found, endpoints) = (Found::default(), 50_000);
        for which in Which::BOTH {
            for number in 0..endpoints {
                assert!(found.join(number, &backend(number), which));
            }
        }
        // One for each that the second set names again, and what shares seven bits of a hash with it.
        assert!(found.compared < 2 * endpoints as usize, "{} comparisons", found.compared);
        assert_eq!(found.take().len(), endpoints as usize);
    }
}
