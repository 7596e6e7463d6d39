//! Connected UDP sockets are found and destroyed by cookie, and nothing else is: no eBPF here, only
//! sockets over the loopback devices of namespaces that the test made. Needs root.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

use proxy_common::abi::{SocketKey, SocketPeer};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind,
    sockopt::{set_socket_reuseaddr, socket_cookie},
};
use shunt::{
    kernel::sys::SockDiag,
    lab::{Namespace, available},
};
use std::{
    io::{ErrorKind, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(5);

fn skipped() -> bool {
    match available() {
        Ok(()) => false,
        Err(reason) => {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            true
        }
    }
}

/// A server's socket and a client's that is connected to it.
struct Pair {
    server: UdpSocket,
    client: UdpSocket,
}

impl Pair {
    /// Made in the calling thread's namespace.
    fn new(server: &str, client: &str, dialled: &str) -> Self {
        let server = UdpSocket::bind((server, 0)).unwrap();
        let client = UdpSocket::bind((client, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        client.connect((dialled.parse::<IpAddr>().unwrap(), port)).unwrap();
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        }
        Self { server, client }
    }

    fn v4() -> Self {
        Self::new("127.0.0.1", "127.0.0.1", "127.0.0.1")
    }

    fn v6() -> Self {
        Self::new("::1", "::1", "::1")
    }

    /// An IPv6 socket that dials an IPv4 address: what dual-stack programs do.
    fn mapped() -> Self {
        Self::new("127.0.0.1", "::", "::ffff:127.0.0.1")
    }

    /// What REVERSE would know the client by.
    fn key(&self) -> SocketKey {
        key(&self.client, self.server.local_addr().unwrap())
    }

    fn talks(&self) -> bool {
        let mut byte = [0];
        self.client.send(b"?").is_ok()
            && self.server.recv_from(&mut byte).is_ok_and(|(_, from)| self.server.send_to(b"!", from).is_ok())
            && self.client.recv(&mut byte).is_ok()
    }
}

fn key(socket: &UdpSocket, peer: SocketAddr) -> SocketKey {
    SocketKey {
        cookie: socket_cookie(socket).unwrap(),
        peer: SocketPeer::new(peer.ip().into(), peer.port().to_be()),
    }
}

#[test]
fn one_socket_is_destroyed_and_every_other_one_stays() {
    if skipped() {
        return;
    }
    let (here, elsewhere) = (Namespace::new("here").unwrap(), Namespace::new("elsewhere").unwrap());
    let make = [Pair::v4, Pair::v6, Pair::mapped];
    let others = elsewhere.run(|| make.map(|make| make())).unwrap();
    for victim in 0..make.len() {
        here.run(|| {
            let pairs = make.map(|make| make());
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut diag = SockDiag::open().unwrap();

            let found = diag.connected_udp(|_| true).unwrap();
            let mut keys: Vec<_> = found.iter().map(shunt::kernel::sys::ConnectedUdp::key).collect();
            let mut wanted: Vec<_> = pairs.iter().map(Pair::key).collect();
            for keys in [&mut keys, &mut wanted] {
                keys.sort_unstable_by_key(|key| key.cookie);
            }
            assert_eq!(keys, wanted, "the clients of this namespace, and neither servers nor TCP");

            let socket = *found.iter().find(|socket| socket.key() == pairs[victim].key()).unwrap();
            assert!(diag.destroy(&socket).unwrap());
            let error = pairs[victim].client.recv(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
            let error = pairs[victim].client.send(b"?").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EDESTADDRREQ), "it is connected to nobody now");
            // What a client does then: it connects again, with the same socket.
            pairs[victim].client.connect(pairs[victim].server.local_addr().unwrap()).unwrap();
            assert!(pairs.iter().all(Pair::talks));
            tcp.write_all(b"still there").unwrap();
        })
        .unwrap();
    }
    assert!(others.iter().all(Pair::talks));
}

#[test]
fn a_receiver_that_waits_is_woken() {
    if skipped() {
        return;
    }
    let namespace = Namespace::new("waiting").unwrap();
    namespace
        .run(|| {
            let pair = Pair::v4();
            thread::scope(|scope| {
                let waiting = scope.spawn(|| pair.client.recv(&mut [0]));
                let mut diag = SockDiag::open().unwrap();
                let found = diag.connected_udp(|key| *key == pair.key()).unwrap();
                assert!(diag.destroy(&found[0]).unwrap());
                assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::ConnectionAborted);
            });
        })
        .unwrap();
}

#[test]
fn a_socket_that_has_moved_on_is_left_alone() {
    if skipped() {
        return;
    }
    let namespace = Namespace::new("moved").unwrap();
    namespace
        .run(|| {
            let (old, new) = (Pair::v4(), Pair::v4());
            let mut diag = SockDiag::open().unwrap();
            let found = diag.connected_udp(|key| *key == old.key()).unwrap();
            assert_eq!(found.len(), 1);
            old.client.connect(new.server.local_addr().unwrap()).unwrap();
            assert!(!diag.destroy(&found[0]).unwrap(), "its peer is another one now");
            assert_eq!(old.client.peer_addr().unwrap(), new.server.local_addr().unwrap());
            drop(old);
            assert!(!diag.destroy(&found[0]).unwrap(), "it is closed");
            assert!(new.talks());
        })
        .unwrap();
}

#[test]
fn sockets_with_the_same_addresses_are_told_apart_by_their_cookies() {
    if skipped() {
        return;
    }
    let namespace = Namespace::new("shared").unwrap();
    namespace
        .run(|| {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let clients: [UdpSocket; 3] = [(); 3].map(|()| {
                let kind = (AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC);
                let socket = rustix::net::socket_with(kind.0, kind.1, kind.2, None).unwrap();
                set_socket_reuseaddr(&socket, true).unwrap();
                bind(&socket, &"127.0.0.1:4000".parse::<SocketAddr>().unwrap()).unwrap();
                let socket = UdpSocket::from(socket);
                socket.connect(server.local_addr().unwrap()).unwrap();
                socket
            });
            let mut diag = SockDiag::open().unwrap();
            let found = diag.connected_udp(|_| true).unwrap();
            assert_eq!(found.len(), 3);
            // The kernel looks by addresses, finds the same one of them each time, and destroys it only
            // if the cookie is its own.
            let connected = || clients.iter().filter(|client| client.peer_addr().is_ok()).count();
            let mut destroyed = 0;
            // The kernel looks where it lists first: last first, so that it finds another one.
            for socket in found.iter().rev() {
                let client = clients
                    .iter()
                    .find(|client| key(client, server.local_addr().unwrap()).cookie == socket.key().cookie);
                let was_destroyed = diag.destroy(socket).unwrap();
                destroyed += usize::from(was_destroyed);
                assert_eq!(client.unwrap().peer_addr().is_err(), was_destroyed);
                assert_eq!(connected(), 3 - destroyed);
            }
            assert!(destroyed > 0);
        })
        .unwrap();
}

#[test]
fn an_answer_of_many_parts_is_read_whole() {
    if skipped() {
        return;
    }
    let namespace = Namespace::new("many").unwrap();
    namespace
        .run(|| {
            let server = UdpSocket::bind("127.0.0.1:0").unwrap();
            let peer = server.local_addr().unwrap();
            // Some 100 bytes each, and no part is larger than 32 KiB.
            let clients: Vec<_> = (0..900)
                .map(|_| {
                    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                    client.connect(peer).unwrap();
                    client
                })
                .collect();
            let mut diag = SockDiag::open().unwrap();
            let mut found: Vec<_> =
                diag.connected_udp(|_| true).unwrap().iter().map(|socket| socket.key().cookie).collect();
            let mut wanted: Vec<_> = clients.iter().map(|client| key(client, peer).cookie).collect();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted);
            // The conversation goes on after it.
            assert_eq!(diag.connected_udp(|key| key.cookie == wanted[7]).unwrap().len(), 1);
        })
        .unwrap();
}
