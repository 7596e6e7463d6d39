//! A node of the local network.

use super::{
    addresses::{GATEWAY, LAN, of_node, pods, routed_pods},
    cni::{self, Cni},
    host::{DEVICE, Host},
    pod::{Pod, PodLink},
    routed,
    topology::{Options, take},
};
use crate::lab::{LabError, Namespace, Place};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
    path::Path,
    sync::atomic::AtomicU8,
};

/// Reverse path filtering of IPv4 (ip-sysctl.rst, `rp_filter`): whether a packet must come from where its
/// source address is routed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RpFilter {
    /// 0: no packet is dropped for its source.
    Off,
    /// 1: it must come in by the device that leads to its source, as systemd and RHEL once had it and many do.
    Strict,
    /// 2: some device must lead to its source, as systemd has it since version 249.
    Loose,
}

/// A node: it forwards, and has the pods that it is asked to add.
#[derive(Debug)]
pub struct Node {
    host: Host,
    number: u8,
    mtu: u32,
    offload: bool,
    cni: Cni,
    /// How many pods it has been asked to route to.
    routed: AtomicU8,
}

impl Node {
    /// Makes a node, counted from 1, of a namespace that is connected to the local network by `eth0`.
    pub(super) fn new(
        namespace: Namespace,
        number: u8,
        options: &Options,
        leases: &Path,
    ) -> Result<Self, LabError> {
        let Options { overlay, rp_filter, offload, .. } = *options;
        namespace.forward()?;
        let value = match rp_filter {
            RpFilter::Off => "0",
            RpFilter::Strict => "1",
            RpFilter::Loose => "2",
        };
        // The stricter of `all` and the device's own counts, and a device's own starts as `default`.
        for conf in ["all", "default"] {
            namespace.set_sysctl(&format!("net/ipv4/conf/{conf}/rp_filter"), value)?;
        }
        let host = Host::settle(namespace, DEVICE, LAN, of_node(number))?.route_all(LAN, GATEWAY)?;
        overlay.set_up(&host, number)?;
        let cni = Cni::new(number, overlay.mtu(), leases);
        Ok(Self { host, number, mtu: overlay.mtu(), offload, cni, routed: AtomicU8::new(0) })
    }

    /// 192.0.2.11 for the first node.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        self.host.ipv4()
    }

    /// 2001:db8:1::11 for the first node.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        self.host.ipv6()
    }

    /// Its address in the local network of the same family as another address.
    #[must_use]
    pub fn ip_like(&self, other: IpAddr) -> IpAddr {
        self.host.ip_like(other)
    }

    /// `node-1` for the first node: how manifests and Shunt may call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.host.label()
    }

    /// The networks of its pods: first those of the bridge, then the routed ones.
    #[must_use]
    pub fn pod_networks(&self) -> Vec<(IpAddr, u8)> {
        [pods(self.number), routed_pods(self.number)].iter().flat_map(|n| n.both(0)).collect()
    }

    /// The bridge of its pods, which is there once there is a pod.
    #[must_use]
    pub fn bridge(&self) -> &'static str {
        cni::BRIDGE
    }

    /// Adds a pod on the bridge `cni0`, by the CNI plugins `bridge` and `host-local`: 10.244.1.2 and
    /// fd00:10:244:1::2 on the first node, and so on. Hairpin mode is on, masquerading off.
    ///
    /// # Errors
    /// If the plugins are not installed or fail.
    pub fn add_pod(&self, label: &str) -> Result<Pod, LabError> {
        self.finish(self.cni.add(&self.host, label)?)
    }

    /// Adds a pod without a bridge, as Calico does: 10.245.1.1 and fd00:10:245:1::1 on the first node, and so
    /// on, behind the device `cali1`.
    ///
    /// # Errors
    /// If a namespace, a link or a route cannot be made, or there were 254 already.
    pub fn add_routed_pod(&self, label: &str) -> Result<Pod, LabError> {
        let number = take(&self.routed, u8::MAX - 1, "add_routed_pod")? + 1;
        let network = routed_pods(self.number);
        let device = format!("cali{number}");
        let (ipv4, ipv6) = (network.v4(number), network.v6(number));
        self.finish(routed::connect(&self.host, device, label, ipv4, ipv6, self.mtu)?)
    }

    fn finish(&self, pod: Pod) -> Result<Pod, LabError> {
        if !self.offload {
            pod.set_checksum_offload(pod.device(), false)?;
            self.host.set_checksum_offload(pod.node_device(), false)?;
        }
        Ok(pod)
    }

    /// Removes a pod: its link and addresses at once, its namespace when nothing is left in it.
    ///
    /// # Errors
    /// If the CNI plugin fails.
    pub fn remove(&self, pod: Pod) -> Result<(), LabError> {
        match pod.link {
            PodLink::Bridge => self.cni.remove(&self.host, &pod),
            PodLink::Routed => self.host.remove_device(pod.node_device()),
        }
    }
}

impl Deref for Node {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.host
    }
}

impl From<&Node> for Place {
    fn from(node: &Node) -> Self {
        (&node.host).into()
    }
}
