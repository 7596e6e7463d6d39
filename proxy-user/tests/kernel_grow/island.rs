//! Services with servers behind them in a namespace with nothing but loopback, and the socket path.

use crate::kernel_lab::{Lab, backend, frontend, slot};
use crate::traffic::Targets;
use proxy_common::abi::{EndpointSet, FrontendFlags, FrontendValue, ServiceFlags, TCP, UDP};
use shunt::kernel::Kernel;
use shunt::lab::{Namespace, Place, TcpServer, UdpServer};
use shunt::writer::{Store, Writer};
use std::net::SocketAddr;

/// Servers behind each Service.
const BACKENDS: u32 = 4;
/// Seconds of session affinity.
const AFFINITY: u32 = 3_600;

pub struct Island {
    pub place: Place,
    pub targets: Targets,
    services: Vec<Programmed>,
    _tcp: Vec<TcpServer>,
    _udp: Vec<UdpServer>,
    _namespace: Namespace,
}

impl Island {
    /// Starts servers and programs Services of both families over TCP, over UDP, and with session affinity.
    pub fn new(lab: &Lab, kernel: &mut Kernel) -> Self {
        let namespace = Namespace::new("island").unwrap();
        let place = lab.place(&namespace);
        let mut targets =
            Targets { tcp: Vec::new(), udp: Vec::new(), affine: Vec::new(), connected_udp: true };
        let (mut tcp, mut udp) = (Vec::new(), Vec::new());
        let (mut service, mut services) = (0, Vec::new());
        for (network, any) in [("10.96.0.", "127.0.0.1:0"), ("[fd00:10:96::", "[::1]:0")] {
            let end = if network.starts_with('[') { "]:80" } else { ":80" };
            let any: SocketAddr = any.parse().unwrap();
            for kind in ["tcp", "udp", "affine"] {
                service += 1;
                let to: SocketAddr = format!("{network}{service}{end}").parse().unwrap();
                let name = |index| format!("{kind}-{service}-{index}");
                let protocol = if kind == "udp" { UDP } else { TCP };
                let servers: Vec<SocketAddr> = (0..BACKENDS)
                    .map(|index| {
                        if protocol == UDP {
                            udp.push(UdpServer::start(&namespace, &name(index), any).unwrap());
                            return udp.last().unwrap().address();
                        }
                        let start = if kind == "tcp" { TcpServer::start_echo } else { TcpServer::start };
                        tcp.push(start(&namespace, &name(index), any).unwrap());
                        tcp.last().unwrap().address()
                    })
                    .collect();
                let affinity_seconds = if kind == "affine" { AFFINITY } else { 0 };
                services.push(Programmed { service, to, protocol, servers, affinity_seconds });
                match kind {
                    "tcp" => targets.tcp.push(to),
                    "udp" => targets.udp.push(to),
                    _ => targets.affine.push(to),
                }
            }
        }
        let island = Self { place, targets, services, _tcp: tcp, _udp: udp, _namespace: namespace };
        island.program(kernel);
        island
    }

    /// Writes what stands for the Services.
    pub fn program(&self, kernel: &mut Kernel) {
        self.services.iter().for_each(|service| service.write(kernel));
    }
}

struct Programmed {
    service: u32,
    to: SocketAddr,
    protocol: u8,
    servers: Vec<SocketAddr>,
    affinity_seconds: u32,
}

impl Programmed {
    fn write(&self, kernel: &mut Kernel) {
        let Self { service, to, protocol, affinity_seconds, .. } = *self;
        let base = service * 8;
        let maps = kernel.maps_mut();
        for (index, server) in (base..).zip(&self.servers) {
            let entry = backend(&server.ip().to_string(), server.port(), service);
            maps.store(&Store::Backend { index, entry });
            maps.store(&Store::Slot { index, backend: slot(index) });
        }
        let (flags, name, health_check_node_port) = (ServiceFlags::default(), 0, 0);
        maps.store(&Store::Policy { service, affinity_seconds, flags, name, health_check_node_port });
        maps.store(&Store::ClusterSet { service, set: EndpointSet::new(base, self.servers.len() as u32) });
        let key = frontend(&to.ip().to_string(), to.port(), protocol);
        let value = FrontendValue::new(service, FrontendFlags::CLUSTER_IP, key.check());
        maps.put_frontends(&[(key, value)]).unwrap();
    }
}
