//! The reconcile over real sockets in namespaces of the test's own, with a REVERSE that no program writes
//! to and a list of namespaces that names no others.

#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

use super::reverse::Reverse;
use super::{Closed, KernelError, reconcile};
use crate::kernel::shape::MapShape;
use crate::kernel::sys::MapFd;
use crate::lab::{Namespace, available};
use aya_obj::generated::bpf_map_type;
use proxy_common::abi::{
    BackendEntry, BackendFlags, BackendRef, ReverseEntry, SocketKey, SocketPeer, TCP, UDP,
};
use rustix::net::sockopt::{set_socket_reuseport, socket_cookie};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;
use zerocopy::IntoBytes;

/// A backend that was removed since, and one that serves.
const GONE: BackendRef = BackendRef::new(0, 4);
const SERVING: BackendRef = BackendRef::new(1, 2);

/// What BACKENDS says now.
fn backend(index: u32) -> Option<BackendEntry> {
    let generation = *[5, 2].get(index as usize)?;
    Some(BackendEntry { flags: BackendFlags::LIVE, generation, ..BackendEntry::default() })
}

/// REVERSE, and a directory like /proc that leads to chosen namespaces.
struct Stand {
    reverse: MapFd,
    directory: TempDir,
}

impl Stand {
    /// `None`, with the reason printed, where no lab can be made.
    fn new(namespaces: &[&Namespace]) -> Option<Self> {
        if let Err(reason) = available() {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let shape = MapShape {
            map_type: bpf_map_type::BPF_MAP_TYPE_LRU_HASH as u32,
            key_size: size_of::<SocketKey>() as u32,
            value_size: size_of::<ReverseEntry>() as u32,
            max_entries: 4096,
            flags: 0,
        };
        let stand =
            Self { reverse: MapFd::create(&shape, None).unwrap(), directory: tempfile::tempdir().unwrap() };
        fs::create_dir(stand.directory.path().join("names")).unwrap();
        stand.lead("proc/self/ns/net", "/proc/self/ns/net");
        for (process, namespace) in (100..).zip(namespaces) {
            // Two processes in each.
            for process in [process, process + 1000] {
                stand.lead_to(&format!("proc/{process}/ns/net"), namespace);
            }
        }
        Some(stand)
    }

    fn lead(&self, name: &str, to: impl AsRef<Path>) {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
    }

    fn lead_to(&self, name: &str, namespace: &Namespace) {
        self.lead(name, format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd()));
    }

    fn remember(&self, key: &SocketKey, protocol: u8, backend: BackendRef) {
        let frontend = SocketPeer::new("10.96.0.10".parse::<IpAddr>().unwrap().into(), 53_u16.to_be());
        let entry = ReverseEntry::new(frontend, protocol, backend);
        self.reverse.update(key.as_bytes(), entry.as_bytes()).unwrap();
    }

    /// Cookies that REVERSE holds.
    fn remembered(&self) -> BTreeSet<u64> {
        Reverse(&self.reverse).all().unwrap().into_iter().map(|(key, _)| key.cookie).collect()
    }

    fn close(&self, backend: impl Fn(u32) -> Option<BackendEntry>) -> Result<Closed, KernelError> {
        let directory = self.directory.path();
        reconcile(Reverse(&self.reverse), backend, &directory.join("proc"), &directory.join("names"))
    }
}

/// A client that is connected to a server of its own.
struct Client {
    socket: UdpSocket,
    server: UdpSocket,
}

impl Client {
    /// One each: IPv4, IPv6, and IPv6 to an IPv4 address.
    fn of_each_kind(namespace: &Namespace) -> Vec<Self> {
        let kinds = [
            ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::1", "::1", "::1"),
            ("127.0.0.1", "::", "::ffff:127.0.0.1"),
        ];
        let connect = |(server, client, to): (&str, &str, &str)| {
            let server = UdpSocket::bind((server, 0)).unwrap();
            let socket = UdpSocket::bind((client, 0)).unwrap();
            let port = server.local_addr().unwrap().port();
            socket.connect((to.parse::<IpAddr>().unwrap(), port)).unwrap();
            Self { socket, server }
        };
        namespace.run(|| kinds.map(connect).into()).unwrap()
    }

    fn key(&self) -> SocketKey {
        key(&self.socket, self.server.local_addr().unwrap())
    }

    /// Connected sockets have a peer.
    fn is_connected(&self) -> bool {
        self.socket.peer_addr().is_ok()
    }

    fn was_aborted(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        self.socket.recv(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::ConnectionAborted)
    }
}

fn key(socket: impl AsFd, peer: SocketAddr) -> SocketKey {
    let peer = SocketPeer::new(peer.ip().into(), peer.port().to_be());
    SocketKey { cookie: socket_cookie(socket).unwrap(), peer }
}

#[test]
fn the_sockets_of_a_gone_backend_are_closed_in_every_namespace_and_no_others() {
    let (first, second) = (Namespace::new("first").unwrap(), Namespace::new("second").unwrap());
    let named = Namespace::new("named").unwrap();
    let Some(stand) = Stand::new(&[&first, &second]) else { return };
    stand.lead_to("names/named", &named);
    // A name whose namespace is gone is a plain file.
    fs::write(stand.directory.path().join("names/left-over"), "").unwrap();
    let (mut gone, mut serving, mut streams) = (Vec::new(), Vec::new(), Vec::new());
    for namespace in [&first, &second, &named] {
        gone.extend(Client::of_each_kind(namespace));
        serving.extend(Client::of_each_kind(namespace));
        let connect = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (listener, stream)
        };
        streams.push(namespace.run(connect).unwrap());
    }
    gone.iter().for_each(|client| stand.remember(&client.key(), UDP, GONE));
    serving.iter().for_each(|client| stand.remember(&client.key(), UDP, SERVING));
    for (listener, stream) in &streams {
        stand.remember(&key(stream, listener.local_addr().unwrap()), TCP, GONE);
    }
    let before = fs::read_link("/proc/thread-self/ns/net").unwrap();

    let closed = stand.close(backend).unwrap();

    assert_eq!((closed.closed, closed.forgotten, closed.namespaces), (9, 0, 3), "{closed:?}");
    assert!(closed.unreachable.is_empty(), "{closed:?}");
    assert!(gone.iter().all(|client| client.was_aborted() && !client.is_connected()));
    assert!(serving.iter().all(Client::is_connected));
    for (_, stream) in &mut streams {
        stream.write_all(b"still there").unwrap();
    }
    let kept = serving.iter().map(|client| client.key().cookie);
    let kept: BTreeSet<_> = kept.chain(streams.iter().map(|(_, s)| socket_cookie(s).unwrap())).collect();
    assert_eq!(stand.remembered(), kept);
    assert_eq!(fs::read_link("/proc/thread-self/ns/net").unwrap(), before, "the caller stays where it is");
}

#[test]
fn without_a_gone_backend_no_namespace_is_visited() {
    let namespace = Namespace::new("pod").unwrap();
    let Some(stand) = Stand::new(&[&namespace]) else { return };
    let clients = Client::of_each_kind(&namespace);
    clients.iter().for_each(|client| stand.remember(&client.key(), UDP, SERVING));
    assert_eq!(stand.close(backend).unwrap().namespaces, 0);
    assert!(clients.iter().all(Client::is_connected));
}

#[test]
fn what_is_not_connected_is_forgotten_once() {
    let namespace = Namespace::new("pod").unwrap();
    let Some(stand) = Stand::new(&[&namespace]) else { return };
    let [moved, closed, mut unconnected]: [Client; 3] =
        Client::of_each_kind(&namespace).try_into().ok().unwrap();
    unconnected.socket = namespace.run(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    for client in [&moved, &closed, &unconnected] {
        stand.remember(&client.key(), UDP, GONE);
    }
    let old = moved.key();
    let other = namespace.run(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    moved.socket.connect(other.local_addr().unwrap()).unwrap();
    stand.remember(&key(&moved.socket, other.local_addr().unwrap()), UDP, SERVING);
    drop(closed);

    let done = stand.close(backend).unwrap();
    assert_eq!((done.closed, done.forgotten, done.namespaces), (0, 3, 1), "{done:?}");
    assert_eq!(moved.socket.peer_addr().unwrap(), other.local_addr().unwrap());
    assert_eq!(stand.remembered(), BTreeSet::from([old.cookie]), "its new backend serves");
    assert_eq!(stand.close(backend).unwrap().namespaces, 0, "each is dealt with once");
}

#[test]
fn a_socket_that_reaches_a_backend_anew_in_between_is_left_alone() {
    let namespace = Namespace::new("pod").unwrap();
    let Some(stand) = Stand::new(&[&namespace]) else { return };
    let clients = Client::of_each_kind(&namespace);
    clients.iter().for_each(|client| stand.remember(&client.key(), UDP, GONE));
    // The first connects again, and the address that it had before is a serving backend's by now.
    let closed = stand.close(|index| {
        stand.remember(&clients[0].key(), UDP, SERVING);
        backend(index)
    });
    assert_eq!(closed.unwrap().closed, 2);
    assert!(clients[0].is_connected());
    assert_eq!(stand.remembered(), BTreeSet::from([clients[0].key().cookie]));
}

#[test]
fn sockets_that_share_all_their_addresses_are_closed_one_after_the_other() {
    let namespace = Namespace::new("pod").unwrap();
    let Some(stand) = Stand::new(&[&namespace]) else { return };
    let server = namespace.run(|| UdpSocket::bind("[::1]:0")).unwrap().unwrap();
    let connect = || {
        let kind = (AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC);
        let socket = socket_with(kind.0, kind.1, kind.2, None).unwrap();
        // Of IPv6 sockets that share a port this way the kernel finds the oldest and lists the newest first.
        set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &"[::1]:4000".parse::<SocketAddr>().unwrap()).unwrap();
        let socket = UdpSocket::from(socket);
        socket.connect(server.local_addr().unwrap()).unwrap();
        socket
    };
    let sockets = namespace.run(|| [(); 4].map(|()| connect())).unwrap();
    for socket in &sockets {
        stand.remember(&key(socket, server.local_addr().unwrap()), UDP, GONE);
    }
    let closed = stand.close(backend).unwrap();
    assert_eq!((closed.closed, closed.forgotten), (4, 0));
    assert!(sockets.iter().all(|socket| socket.peer_addr().is_err()));
    assert!(stand.remembered().is_empty());
}

/// IPv6 sockets that share all their addresses: bound in one order and connected in another. The kernel lists
/// them by the one, newest first, and finds them by the other, oldest first.
fn sharing(namespace: &Namespace, server: &UdpSocket, connected: &[usize]) -> Vec<UdpSocket> {
    let make = |_: &usize| {
        let kind = (AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC);
        let socket = socket_with(kind.0, kind.1, kind.2, None).unwrap();
        set_socket_reuseport(&socket, true).unwrap();
        bind(&socket, &"[::1]:4000".parse::<SocketAddr>().unwrap()).unwrap();
        UdpSocket::from(socket)
    };
    let sockets: Vec<_> = namespace.run(|| connected.iter().map(make).collect()).unwrap();
    connected.iter().for_each(|place| sockets[*place].connect(server.local_addr().unwrap()).unwrap());
    sockets
}

#[test]
fn many_sockets_that_share_their_addresses_cost_no_square_of_their_number() {
    const SOCKETS: usize = 200;
    let namespace = Namespace::new("pod").unwrap();
    let Some(stand) = Stand::new(&[&namespace]) else { return };
    let server = namespace.run(|| UdpSocket::bind("[::1]:0")).unwrap().unwrap();
    // As a program makes them; and as one does that wants to keep the agent busy.
    let in_order: Vec<_> = (0..SOCKETS).collect();
    let shuffled: Vec<_> = in_order.iter().map(|place| place * 77 % SOCKETS).collect();
    for (order, all) in [(in_order, true), (shuffled, false)] {
        let sockets = sharing(&namespace, &server, &order);
        for socket in &sockets {
            stand.remember(&key(socket, server.local_addr().unwrap()), UDP, GONE);
        }
        let closed = stand.close(backend).unwrap();
        assert!(closed.requests <= 4 * SOCKETS, "{closed:?}");
        assert_eq!((closed.closed == SOCKETS, closed.forgotten), (all, 0), "{closed:?}");
        assert_eq!(stand.remembered().len(), SOCKETS - closed.closed, "the others wait for the next call");
    }
}

#[test]
fn while_a_namespace_cannot_be_seen_nothing_is_forgotten() {
    let (seen, hidden) = (Namespace::new("seen").unwrap(), Namespace::new("hidden").unwrap());
    let Some(stand) = Stand::new(&[&seen]) else { return };
    stand.lead("proc/200/ns/net", "net");
    let (here, there) = (Client::of_each_kind(&seen), Client::of_each_kind(&hidden));
    here.iter().chain(&there).for_each(|client| stand.remember(&client.key(), UDP, GONE));

    let closed = stand.close(backend).unwrap();
    assert_eq!((closed.closed, closed.forgotten, closed.unreachable.len()), (3, 0, 1), "{closed:?}");
    assert_eq!(closed.unreachable[0].0, stand.directory.path().join("proc/200/ns/net"));
    assert!(there.iter().all(Client::is_connected));

    // The next call makes up for it.
    fs::remove_file(stand.directory.path().join("proc/200/ns/net")).unwrap();
    stand.lead_to("proc/200/ns/net", &hidden);
    // A path that cannot be followed concerns nobody once all are closed.
    stand.lead("proc/201/ns/net", "net");
    let closed = stand.close(backend).unwrap();
    assert_eq!((closed.closed, closed.unreachable.len()), (3, 0), "{closed:?}");
    assert!(!there.iter().any(Client::is_connected));
}
