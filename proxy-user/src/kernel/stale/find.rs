//! Which sockets remember a backend that is gone: the rule alone, as a pure function of what the maps hold.

use ahash::AHashMap;
use proxy_common::abi::{BackendEntry, BackendFlags, ReverseEntry, SocketKey, UDP};

/// UDP sockets whose backend is gone, connected or not, with what REVERSE says of them.
///
/// Only UDP: a TCP connection notices by itself, and kube-proxy cuts none either.
#[derive(Debug, Default)]
pub struct StaleSockets(pub AHashMap<SocketKey, ReverseEntry>);

impl StaleSockets {
    /// Those among `entries` of REVERSE, where `backend` is the entry of BACKENDS at an index.
    pub fn among(
        entries: impl IntoIterator<Item = (SocketKey, ReverseEntry)>,
        backend: impl Fn(u32) -> Option<BackendEntry>,
    ) -> Self {
        let is_stale = |entry: &ReverseEntry| {
            entry.protocol == UDP && is_gone(entry, backend(entry.backend.index()).as_ref())
        };
        Self(entries.into_iter().filter(|(_, entry)| is_stale(entry)).collect())
    }
}

/// True if the backend that is remembered was freed since, or can serve no more. One that only left the
/// sets is not gone: it terminates and still serves, or policy and topology prefer others.
fn is_gone(remembered: &ReverseEntry, now: Option<&BackendEntry>) -> bool {
    now.is_none_or(|now| {
        now.generation != remembered.backend.generation() || !now.flags.contains(BackendFlags::LIVE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy_common::abi::{Address, BackendRef, SocketPeer, TCP};
    use std::net::Ipv4Addr;

    const LOCAL_AND_LIVE: BackendFlags = BackendFlags::LOCAL.union(BackendFlags::LIVE);

    /// Two backends: the first has been freed three times and the second never.
    fn backend(flags: BackendFlags) -> impl Fn(u32) -> Option<BackendEntry> {
        move |index| {
            let generation = *[3, 0].get(index as usize)?;
            Some(BackendEntry { flags, generation, ..BackendEntry::default() })
        }
    }

    fn socket(cookie: u64) -> SocketKey {
        let address = Address::from(Ipv4Addr::new(10, 244, 0, 11));
        SocketKey { cookie, peer: SocketPeer::new(address, 53_u16.to_be()) }
    }

    fn stale(protocol: u8, index: u32, generation: u32, flags: BackendFlags) -> bool {
        let frontend = SocketPeer::new(Ipv4Addr::new(10, 96, 0, 10).into(), 53_u16.to_be());
        let entry = ReverseEntry::new(frontend, protocol, BackendRef::new(index, generation));
        let StaleSockets(found) = StaleSockets::among([(socket(7), entry)], backend(flags));
        assert!(found.iter().all(|found| found == (&socket(7), &entry)));
        !found.is_empty()
    }

    #[test]
    fn a_backend_is_gone_if_it_was_freed_or_can_serve_no_more() {
        for (index, generation, flags, gone, why) in [
            (0, 3, BackendFlags::LIVE, false, "in no set, and serving: it terminates"),
            (0, 3, LOCAL_AND_LIVE, false, "serving on this node"),
            (1, 0, BackendFlags::LIVE.union(BackendFlags::IN_CLUSTER), false, "serving"),
            (0, 3, BackendFlags::default(), true, "freed, or terminating without serving"),
            (0, 3, BackendFlags::LOCAL, true, "not serving on this node"),
            (0, 2, BackendFlags::LIVE, true, "another backend took the place"),
            (0, 4, BackendFlags::LIVE, true, "a memory that cannot be"),
            (2, 0, BackendFlags::LIVE, true, "outside of the map"),
        ] {
            assert_eq!(stale(UDP, index, generation, flags), gone, "{why}");
        }
    }

    #[test]
    fn tcp_is_never_stale() {
        assert!(!stale(TCP, 0, 2, BackendFlags::default()));
        assert!(!stale(TCP, 2, 0, BackendFlags::default()));
    }

    #[test]
    fn each_socket_is_judged_by_its_own_backend() {
        let entry = |index, generation| {
            ReverseEntry::new(SocketPeer::default(), UDP, BackendRef::new(index, generation))
        };
        let entries = [(socket(1), entry(0, 3)), (socket(2), entry(0, 2)), (socket(3), entry(1, 0))];
        let StaleSockets(found) = StaleSockets::among(entries, backend(BackendFlags::LIVE));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(socket(2), entry(0, 2))]);
    }
}
