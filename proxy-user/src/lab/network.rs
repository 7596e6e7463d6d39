//! A node and its pods, as a CNI would lay them out: each pod has a namespace of its own and a veth pair
//! to the node, /32 and /128 addresses, and reaches the others by routes through the node.

use super::{LabError, Namespace, Place};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
};

/// 10.244.0.0/16 and fd00:10:244::/64 are the pods' networks; number 1 in each is the node.
const NODE: u16 = 1;
/// The first pod is 10.244.0.11 and fd00:10:244::11, as the manifests in `examples/` have it.
const FIRST_POD_V4: u16 = 11;
const FIRST_POD_V6: u16 = 0x11;
const PREFIX_V4: u8 = 16;
const PREFIX_V6: u8 = 64;

/// The node's address on every link to a pod. A host answers neighbour solicitations only for
/// addresses of the very device (RFC 4861, 7.2.3), so IPv6 needs one there; for ARP any local one does.
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The pods' end of their link.
const POD_DEVICE: &str = "eth0";

/// A node and its pods, joined to nothing else. Every pod reaches the node and every other pod over both
/// families, and nothing besides.
#[derive(Debug)]
pub struct Lab {
    node: Node,
    pods: Vec<Pod>,
    routes: Vec<(IpAddr, u8)>,
}

/// The node: a namespace that forwards between the pods.
#[derive(Debug)]
pub struct Node {
    namespace: Namespace,
}

/// A pod: a namespace whose only device beside `lo` is `eth0`.
#[derive(Debug)]
pub struct Pod {
    namespace: Namespace,
    index: u16,
    node_device: String,
}

impl Lab {
    /// Makes a node and `pods` pods.
    ///
    /// # Errors
    /// See [`super::available`].
    pub fn new(pods: usize) -> Result<Self, LabError> {
        let namespace = Namespace::new("node")?;
        namespace.forward()?;
        namespace.add_address("lo", ipv4(NODE).into(), 32)?;
        namespace.add_address("lo", ipv6(NODE).into(), 128)?;
        let mut lab = Self { node: Node { namespace }, pods: Vec::new(), routes: Vec::new() };
        for _ in 0..pods {
            lab.add_pod()?;
        }
        Ok(lab)
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// A pod, counted from 0 in the order they were added.
    ///
    /// # Panics
    /// If there are not that many.
    #[must_use]
    pub fn pod(&self, index: usize) -> &Pod {
        &self.pods[index]
    }

    /// Every pod, in the order they were added.
    #[must_use]
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// Adds a pod.
    ///
    /// # Errors
    /// If its namespace, link, addresses or routes cannot be made, or there are 65,518 already.
    pub fn add_pod(&mut self) -> Result<&Pod, LabError> {
        let number = self.pods.len();
        // 16 bits must hold the numbers of both families.
        let index = u16::try_from(number).ok().filter(|index| *index < u16::MAX - FIRST_POD_V6);
        let index = index.ok_or_else(|| {
            LabError::new("add_pod", "the lab's address range", std::io::ErrorKind::QuotaExceeded)
        })?;
        let pod = Pod {
            namespace: Namespace::new(&format!("pod {index}"))?,
            index,
            node_device: format!("pod{index}"),
        };
        self.join(&pod)?;
        for (destination, prefix) in &self.routes {
            pod.route_via_node(*destination, *prefix)?;
        }
        self.pods.push(pod);
        Ok(&self.pods[number])
    }

    fn join(&self, pod: &Pod) -> Result<(), LabError> {
        let node = &self.node.namespace;
        node.connect(&pod.node_device, pod, POD_DEVICE)?;
        node.add_address(&pod.node_device, GATEWAY_V6.into(), 64)?;
        node.add_route(pod.ipv4().into(), 32, None, &pod.node_device)?;
        node.add_route(pod.ipv6().into(), 128, None, &pod.node_device)?;
        pod.add_address(POD_DEVICE, pod.ipv4().into(), 32)?;
        pod.add_address(POD_DEVICE, pod.ipv6().into(), 128)?;
        pod.route_via_node(ipv4(0).into(), PREFIX_V4)?;
        pod.route_via_node(ipv6(0).into(), PREFIX_V6)
    }

    /// Lets every pod, also those added later, send this range to the node: Service addresses, which only
    /// the packet path needs a route to, or node addresses. The node refuses what it does not know, having
    /// no route out.
    ///
    /// # Errors
    /// If a pod has that route already.
    pub fn route_via_node(&mut self, destination: IpAddr, prefix: u8) -> Result<(), LabError> {
        for pod in &self.pods {
            pod.route_via_node(destination, prefix)?;
        }
        self.routes.push((destination, prefix));
        Ok(())
    }
}

impl Node {
    /// 10.244.0.1.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        ipv4(NODE)
    }

    /// fd00:10:244::1.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        ipv6(NODE)
    }
}

impl Pod {
    /// Its address in 10.244.0.0/16, from 10.244.0.11 on.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        ipv4(FIRST_POD_V4 + self.index)
    }

    /// Its address in fd00:10:244::/64, from fd00:10:244::11 on.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        ipv6(FIRST_POD_V6 + self.index)
    }

    /// The node's end of the pod's link; the pod's own is `eth0`.
    #[must_use]
    pub fn node_device(&self) -> &str {
        &self.node_device
    }

    fn route_via_node(&self, destination: IpAddr, prefix: u8) -> Result<(), LabError> {
        let gateway = match destination {
            IpAddr::V4(_) => IpAddr::V4(ipv4(NODE)),
            IpAddr::V6(_) => IpAddr::V6(GATEWAY_V6),
        };
        self.add_route(destination, prefix, Some(gateway), POD_DEVICE)
    }
}

fn ipv4(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 244, high, low)
}

fn ipv6(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, number)
}

impl Deref for Node {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Deref for Pod {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl From<&Node> for Place {
    fn from(node: &Node) -> Self {
        node.place()
    }
}

impl From<&Pod> for Place {
    fn from(pod: &Pod) -> Self {
        pod.place()
    }
}
