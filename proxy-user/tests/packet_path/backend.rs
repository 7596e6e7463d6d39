//! Endpoints that say who they are.
#![allow(dead_code, reason = "two test binaries use a part of it each")]

use crate::service::{ENDPOINT_PORT, Endpoint};
use shunt::{
    lab::{
        Place, TcpServer, UdpServer,
        lan::{Node, Pod},
    },
    model::{Conditions, Family},
};
use std::net::{IpAddr, SocketAddr};

/// A pod that answers with its name on port 8080, over TCP and UDP, IPv4 and IPv6, and sends back what it is sent.
pub struct Backend {
    name: String,
    node: String,
    ips: [IpAddr; 2],
    place: Place,
    servers: (Vec<TcpServer>, Vec<UdpServer>),
    /// None for one in the network of its node. Last, so that nobody is in it any more when it goes.
    pod: Option<Pod>,
}

impl Backend {
    pub fn in_pod(node: &Node, pod: Pod, name: &str) -> Self {
        Self::bare(node, pod, name).withservers()
    }

    pub fn on_node(node: &Node, name: &str) -> Self {
        let ips = [node.ipv4().into(), node.ipv6().into()];
        Self::new(node, node.into(), ips, name, None).withservers()
    }

    /// A pod where nobody listens yet.
    pub fn bare(node: &Node, pod: Pod, name: &str) -> Self {
        let ips = [pod.ipv4().into(), pod.ipv6().into()];
        Self::new(node, (&pod).into(), ips, name, Some(pod))
    }

    fn new(node: &Node, place: Place, ips: [IpAddr; 2], name: &str, pod: Option<Pod>) -> Self {
        let (name, node) = (name.to_owned(), node.name().to_owned());
        Self { name, node, ips, place, servers: (Vec::new(), Vec::new()), pod }
    }

    fn withservers(mut self) -> Self {
        for ip in self.ips {
            let at = SocketAddr::new(ip, ENDPOINT_PORT);
            self.servers.0.push(TcpServer::start_echo(self.place(), &self.name, at).unwrap());
            self.servers.1.push(UdpServer::start_echo(self.place(), &self.name, at).unwrap());
        }
        self
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_on(&self, node: &Node) -> bool {
        self.node == node.name()
    }

    pub fn ip(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.ips[0],
            Family::V6 => self.ips[1],
        }
    }

    /// Where it is, to ask others from there.
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Its pod.
    ///
    /// # Panics
    /// If it is in the network of its node.
    #[allow(dead_code, reason = "the tests of packet_links/ use it")]
    pub fn pod(&self) -> &Pod {
        self.pod.as_ref().unwrap()
    }

    /// As a slice lists it.
    pub fn endpoint(&self, conditions: Conditions) -> Endpoint {
        (self.ips.to_vec(), Some(self.node.clone()), conditions)
    }
}
