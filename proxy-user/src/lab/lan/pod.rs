//! A pod of a node.

use super::host::DEVICE;
use crate::lab::{Namespace, Place};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
};

/// A pod: a namespace connected to its node by `eth0`. It lives until it is dropped; [`super::Node::remove`]
/// also takes back its addresses.
#[derive(Debug)]
pub struct Pod {
    pub(super) namespace: Namespace,
    pub(super) ipv4: Ipv4Addr,
    pub(super) ipv6: Ipv6Addr,
    pub(super) node_device: String,
    pub(super) link: PodLink,
}

/// Who connected a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PodLink {
    /// The CNI plugin, to the bridge.
    Bridge,
    /// The lab, by routes.
    Routed,
}

impl Pod {
    /// Its IPv4 address.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// Its IPv6 address.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        self.ipv6
    }

    /// Its address of the same family as another one.
    #[must_use]
    pub fn ip_like(&self, other: IpAddr) -> IpAddr {
        if other.is_ipv4() { self.ipv4.into() } else { self.ipv6.into() }
    }

    /// The node's end of its link.
    #[must_use]
    pub fn node_device(&self) -> &str {
        &self.node_device
    }

    /// Its own end.
    #[must_use]
    pub fn device(&self) -> &str {
        DEVICE
    }
}

impl Deref for Pod {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl From<&Pod> for Place {
    fn from(pod: &Pod) -> Self {
        (&pod.namespace).into()
    }
}
