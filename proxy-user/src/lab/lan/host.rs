//! A host with one link: the clients.

use super::addresses::{DEFAULT, Network};
use crate::lab::{LabError, Namespace, Place};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
};

/// The device by which a host, a node or a pod is connected.
pub(super) const DEVICE: &str = "eth0";

/// A namespace whose only device beside `lo` is connected to the laboratory's network.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
    device: String,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
}

impl Host {
    /// Gives a device that is connected its addresses.
    pub(super) fn settle(
        namespace: Namespace,
        device: &str,
        network: Network,
        number: u8,
    ) -> Result<Self, LabError> {
        for (address, prefix) in network.both(number) {
            namespace.add_address(device, address, prefix)?;
        }
        let (ipv4, ipv6) = (network.v4(number), network.v6(number));
        Ok(Self { namespace, device: device.to_owned(), ipv4, ipv6 })
    }

    /// Sends everything through a gateway of the network.
    pub(super) fn route_all(self, network: Network, gateway: u8) -> Result<Self, LabError> {
        for (everything, (gateway, _)) in DEFAULT.into_iter().zip(network.both(gateway)) {
            self.namespace.add_route(everything, 0, Some(gateway), &self.device)?;
        }
        Ok(self)
    }

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

    /// Its device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }
}

impl Deref for Host {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl From<&Host> for Place {
    fn from(host: &Host) -> Self {
        (&host.namespace).into()
    }
}
