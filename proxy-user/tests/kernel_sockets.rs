//! Real sockets through the attached programs, with map contents written by hand: what a store
//! means to a client. Needs root; every socket lives in a network namespace with loopback alone.
#![cfg(feature = "lab")]

mod kernel_lab;

use kernel_lab::{Lab, backend, frontend, slot};
use proxy_common::abi::{
    Counter, EndpointSet, FrontendFlags, FrontendValue, MAPPED_BITS, Network, NetworkKey, NodeEntry,
    NodeFlags, ServiceFlags, TCP, UDP,
};
use shunt::kernel::{Kernel, PROGRAMS};
use shunt::writer::{PrefixKey, Store, Writer};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// One service port with `backends` of `ip`, dialled at `address`.
fn program(kernel: &mut Kernel, service: u32, address: SocketAddr, protocol: u8, backends: &[SocketAddr]) {
    let base = service * 8;
    let maps = kernel.maps_mut();
    for (index, to) in (base..).zip(backends) {
        let entry = backend(&to.ip().to_string(), to.port(), service);
        maps.store(&Store::Backend { index, entry });
        maps.store(&Store::Slot { index, backend: slot(index) });
    }
    maps.store(&Store::ClusterSet { service, set: EndpointSet::new(base, backends.len() as u32) });
    let key = frontend(&address.ip().to_string(), address.port(), protocol);
    maps.put_frontends(&[(key, FrontendValue::new(service, FrontendFlags::CLUSTER_IP, key.check()))])
        .expect("frontend");
}

#[test]
fn a_connection_reaches_the_backend_and_still_names_the_frontend() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    let cases = [("10.96.0.1:80", "127.0.0.1:0"), ("[fd00:10:96::1]:80", "[::1]:0")];
    lab.on_island(|| {
        for (service, (address, listen)) in (1..).zip(cases) {
            let address: SocketAddr = address.parse().unwrap();
            let listener = TcpListener::bind(listen).unwrap();
            program(&mut kernel, service, address, TCP, &[listener.local_addr().unwrap()]);

            let mut client = TcpStream::connect_timeout(&address, TIMEOUT).unwrap();
            assert_eq!(client.peer_addr().unwrap(), address);
            let (mut server, from) = listener.accept().unwrap();
            assert_eq!(from, client.local_addr().unwrap());
            client.write_all(b"hello").unwrap();
            let mut text = [0; 5];
            server.set_read_timeout(Some(TIMEOUT)).unwrap();
            server.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"hello");

            // The set becomes empty by one store: the next connection is refused at once, and the
            // one that is there goes on.
            kernel.maps_mut().store(&Store::ClusterSet { service, set: EndpointSet::EMPTY });
            let refused = TcpStream::connect_timeout(&address, TIMEOUT).unwrap_err();
            let wanted = if kernel.features().set_retval {
                ErrorKind::ConnectionRefused
            } else {
                ErrorKind::PermissionDenied
            };
            assert_eq!(refused.kind(), wanted, "{refused}");
            server.write_all(b"still").unwrap();
            client.set_read_timeout(Some(TIMEOUT)).unwrap();
            client.read_exact(&mut text).unwrap();
            assert_eq!(&text, b"still");
        }
    });
    let counters = kernel.maps().counters().unwrap();
    for (counter, wanted) in [
        (Counter::ConnectForwarded, 2),
        (Counter::ConnectNoEndpoint, 2),
        (Counter::PeerNameRestored, 2),
        (Counter::Inconsistent, 0),
    ] {
        assert_eq!(counters[counter as usize], wanted, "{}", counter.name());
    }
}

#[test]
fn datagrams_are_answered_by_the_frontend() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    lab.on_island(|| {
        for (service, (address, any)) in
            (1..).zip([("10.96.0.10:53", "127.0.0.1:0"), ("[fd00:10:96::10]:53", "[::1]:0")])
        {
            let address: SocketAddr = address.parse().unwrap();
            let server = UdpSocket::bind(any).unwrap();
            let client = UdpSocket::bind(any).unwrap();
            for socket in [&server, &client] {
                socket.set_read_timeout(Some(TIMEOUT)).unwrap();
            }
            program(&mut kernel, service, address, UDP, &[server.local_addr().unwrap()]);
            let mut text = [0; 16];
            for _ in 0..2 {
                client.send_to(b"query", address).unwrap();
                let (_, from) = server.recv_from(&mut text).unwrap();
                assert_eq!(from, client.local_addr().unwrap());
                server.send_to(b"answer", from).unwrap();
                let (len, from) = client.recv_from(&mut text).unwrap();
                assert_eq!((&text[..len], from), (&b"answer"[..], address));
            }
        }
    });
    let counters = kernel.maps().counters().unwrap();
    let count = |counter: Counter| counters[counter as usize];
    assert_eq!((count(Counter::SendNewFlow), count(Counter::SendKnownFlow)), (2, 2));
    assert_eq!(count(Counter::ReplyRestored), 4);
}

#[test]
fn what_is_dropped_fails_at_once_as_if_nobody_had_answered() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    // A policy that allows endpoints of this node only, and others have some.
    let flags = ServiceFlags::INTERNAL_LOCAL.union(ServiceFlags::ANY_USABLE);
    let address: SocketAddr = "10.96.0.1:80".parse().unwrap();
    for (service, protocol) in [(1, TCP), (2, UDP)] {
        program(&mut kernel, service, address, protocol, &["127.0.0.1:9".parse().unwrap()]);
        let (affinity_seconds, name, health_check_node_port) = (0, 0, 0);
        let maps = kernel.maps_mut();
        maps.store(&Store::Policy { service, affinity_seconds, flags, name, health_check_node_port });
    }
    // An address in a ServiceCIDR that no Service has.
    let unallocated: SocketAddr = "10.96.0.200:80".parse().unwrap();
    let cidr = NetworkKey { prefix_len: MAPPED_BITS + 16, address: IpAddr::from([10, 96, 0, 0]).into() };
    kernel.maps_mut().put_prefixes(&[(PrefixKey::Network(cidr), Network::Services as u32)]).unwrap();
    let entry = NodeEntry { flags: NodeFlags::SERVICE_CIDRS, reserved: 0 };
    kernel.maps_mut().store(&Store::Node { entry });
    // Before Linux 6.1 a program cannot choose the error.
    let timed_out = if kernel.features().set_retval { libc::ETIMEDOUT } else { libc::EPERM };
    let errors = lab.on_island(|| {
        [address, unallocated].map(|address| {
            // Without a program there is no route: ENETUNREACH.
            let tcp = TcpStream::connect(address).unwrap_err();
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let connected = socket.connect(address).unwrap_err();
            let sent = socket.send_to(b"query", address).unwrap_err();
            [tcp, connected, sent].map(|error| error.raw_os_error())
        })
    });
    assert_eq!(errors, [[timed_out, libc::EPERM, libc::EPERM].map(Some); 2]);
    let counters = kernel.maps().counters().unwrap();
    for (counter, wanted) in [
        (Counter::ConnectNoLocalEndpoint, 2),
        (Counter::SendNoLocalEndpoint, 1),
        (Counter::ConnectUnallocated, 2),
        (Counter::SendUnallocated, 1),
        (Counter::Inconsistent, 0),
    ] {
        assert_eq!(counters[counter as usize], wanted, "{}", counter.name());
    }
}

#[test]
fn replacing_programs_never_leaves_a_gap() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    let address: SocketAddr = "10.96.0.1:80".parse().unwrap();
    let (ready, go) = mpsc::channel();
    let stop = &AtomicBool::new(false);
    let lab = &lab;
    thread::scope(|scope| {
        let client = scope.spawn(move || {
            lab.on_island(move || {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                // A packet for 10.96.0.1 has no route here, so a connection that no program turned
                // fails with ENETUNREACH.
                let mut served = 0;
                while !stop.load(Ordering::Relaxed) {
                    match TcpStream::connect_timeout(&address, TIMEOUT) {
                        Ok(_) => drop(listener.accept().unwrap()),
                        Err(error) if served == 0 => {
                            assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
                            continue;
                        }
                        Err(error) => panic!("a gap after {served} connections: {error}"),
                    }
                    served += 1;
                }
                served
            })
        });
        let listen = go.recv_timeout(TIMEOUT).unwrap();
        program(&mut kernel, 1, address, TCP, &[listen]);
        thread::sleep(Duration::from_millis(100));
        for _ in 0..5 {
            drop(kernel);
            kernel = lab.open();
            assert_eq!(kernel.attach().unwrap().replaced, PROGRAMS.len());
        }
        stop.store(true, Ordering::Relaxed);
        let served = client.join().unwrap();
        println!("{served} connections over five replacements");
        assert!(served > 5);
    });
}
