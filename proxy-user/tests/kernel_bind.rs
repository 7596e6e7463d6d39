//! Bind protection with real sockets: who may bind a NodePort, and who may not. Needs root; every socket lives in a
//! network namespace with loopback alone.
#![cfg(feature = "lab")]

mod kernel_lab;

use kernel_lab::Lab;
use proxy_common::abi::{
    FrontendFlags, FrontendKey4, FrontendKey6, FrontendValue, NodeEntry, NodeFlags, PacketFlags,
    PacketSettings, Scope, TCP, UDP,
};
use shunt::kernel::Kernel;
use shunt::lab::Namespace;
use shunt::writer::{FrontendKey, Store, Writer};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

const NODE_PORT: u16 = 30_080;

/// A NodePort of both families, by TCP alone; loopback addresses have it in IPv4.
fn program(kernel: &mut Kernel) {
    let (port, protocol, scope) = (NODE_PORT.to_be(), TCP, Scope::Node as u8);
    let keys = [
        FrontendKey::V4(FrontendKey4 { address: 0, port, protocol, scope }),
        FrontendKey::V6(FrontendKey6 { address: [0; 4], port, protocol, scope }),
    ];
    let entries = keys.map(|key| (key, FrontendValue::new(1, FrontendFlags::NODE_PORT, key.check())));
    kernel.maps_mut().put_frontends(&entries).expect("frontends");
    let entry = NodeEntry { flags: NodeFlags::LOCALHOST_V4, reserved: 0 };
    kernel.maps_mut().store(&Store::Node { entry });
}

fn protect(kernel: &mut Kernel, flags: PacketFlags) {
    kernel.packets().set_settings(&PacketSettings { flags, ..PacketSettings::default() });
}

/// Before Linux 5.14 the programs take the initial network namespace for the node's.
fn knows_the_node(kernel: &Kernel) -> bool {
    let known = kernel.features().netns_cookie.is_some();
    if !known {
        eprintln!("skipped: this kernel tells no network namespace's cookie");
    }
    known
}

fn bind(address: &str, protocol: u8) -> Option<i32> {
    let address: SocketAddr = address.parse().expect("an address");
    let bound = if protocol == TCP {
        TcpListener::bind(address).map(drop)
    } else {
        UdpSocket::bind(address).map(drop)
    };
    bound.err().and_then(|error: io::Error| error.raw_os_error())
}

#[test]
fn a_process_of_the_node_cannot_bind_a_node_port() {
    let Some(lab) = Lab::new() else { return };
    lab.on_island(|| {
        // The island is the node: the programs take the network namespace of who loads them.
        let mut kernel = lab.open();
        if !knows_the_node(&kernel) {
            return;
        }
        kernel.attach().unwrap();
        program(&mut kernel);
        let refused = Some(if kernel.features().set_retval { libc::EADDRINUSE } else { libc::EPERM });
        let taken = ["0.0.0.0:30080", "[::]:30080", "127.0.0.1:30080", "[::ffff:127.0.0.1]:30080"];
        for address in taken {
            assert_eq!(bind(address, TCP), None, "{address}: it is off");
        }
        protect(&mut kernel, PacketFlags::BIND_PROTECTION);
        for address in taken {
            assert_eq!(bind(address, TCP), refused, "{address}");
            assert_eq!(bind(address, UDP), None, "{address} by UDP");
        }
        // Loopback has no NodePorts in IPv6 here; other ports are nobody's.
        for address in ["[::1]:30080", "0.0.0.0:30081", "[::]:30081", "0.0.0.0:0", "[::]:0"] {
            assert_eq!(bind(address, TCP), None, "{address}");
        }
        // The Service goes, and with it the claim.
        let (port, protocol, scope) = (NODE_PORT.to_be(), TCP, Scope::Node as u8);
        let key = FrontendKey::V4(FrontendKey4 { address: 0, port, protocol, scope });
        kernel.maps_mut().delete_frontends(&[key]).unwrap();
        assert_eq!((bind("0.0.0.0:30080", TCP), bind("[::]:30080", TCP)), (None, refused));
    });
}

#[test]
fn pods_bind_what_they_like() {
    let Some(lab) = Lab::new() else { return };
    let node = Namespace::new("node").unwrap();
    let mut kernel = node.run(|| lab.open()).unwrap();
    if !knows_the_node(&kernel) {
        return;
    }
    kernel.attach().unwrap();
    program(&mut kernel);
    protect(&mut kernel, PacketFlags::BIND_PROTECTION);
    lab.on_island(|| {
        for address in ["0.0.0.0:30080", "[::]:30080", "127.0.0.1:30080"] {
            assert_eq!(bind(address, TCP), None, "{address}");
        }
    });
}
