//! What lies beyond the local network: router, edge, and a client behind both.

use super::{
    addresses::{CLIENT, DEFAULT, FAR, GATEWAY, LAN, Network, WAN},
    host::{DEVICE, Host},
    switch::Switch,
};
use crate::lab::{LabError, Namespace};

/// The two ends of the link between router and edge.
const LINK: &str = "wan";
/// The edge's end.
const EDGE: u8 = 2;
/// The edge's link to the far client.
const FAR_LINK: &str = "far";

/// Router, edge and far client. A packet that is larger than the link between router and edge allows and
/// may not be fragmented comes back as an ICMP error: from the router to who sends from the local network,
/// from the edge to the far client.
#[derive(Debug)]
pub struct Wan {
    router: Namespace,
    edge: Namespace,
    client: Host,
}

impl Wan {
    /// Makes the three.
    pub(super) fn new(switch: &Switch) -> Result<Self, LabError> {
        let (router, edge) = (Namespace::new("router")?, Namespace::new("edge")?);
        switch.plug("router", &router, DEVICE)?;
        router.forward()?;
        edge.forward()?;
        add_addresses(&router, DEVICE, LAN, GATEWAY)?;
        router.connect(LINK, &edge, LINK)?;
        add_addresses(&router, LINK, WAN, GATEWAY)?;
        add_addresses(&edge, LINK, WAN, EDGE)?;
        let client = Namespace::new("far client")?;
        edge.connect(FAR_LINK, &client, DEVICE)?;
        switch.finish(&client, DEVICE)?;
        add_addresses(&edge, FAR_LINK, FAR, GATEWAY)?;
        let client = Host::settle(client, DEVICE, FAR, CLIENT)?.route_all(FAR, GATEWAY)?;
        for ((far, prefix), (edge, _)) in FAR.both(0).into_iter().zip(WAN.both(EDGE)) {
            router.add_route(far, prefix, Some(edge), LINK)?;
        }
        // What the edge does not know goes to the router, and what that does not know nowhere.
        for (everything, (gateway, _)) in DEFAULT.into_iter().zip(WAN.both(GATEWAY)) {
            edge.add_route(everything, 0, Some(gateway), LINK)?;
        }
        Ok(Self { router, edge, client })
    }

    /// 192.0.2.1 and 2001:db8:1::1: the default gateway of nodes and clients.
    #[must_use]
    pub fn router(&self) -> &Namespace {
        &self.router
    }

    /// The router before the far client.
    #[must_use]
    pub fn edge(&self) -> &Namespace {
        &self.edge
    }

    /// 198.51.100.100 and 2001:db8:2::100.
    #[must_use]
    pub fn client(&self) -> &Host {
        &self.client
    }

    /// Changes the MTU of the link between router and edge, which is 1500 at first, in bytes. IPv6 wants
    /// 1280 at least.
    ///
    /// # Errors
    /// If the kernel does not take it.
    pub fn set_mtu(&self, mtu: u32) -> Result<(), LabError> {
        self.router.set_mtu(LINK, mtu)?;
        self.edge.set_mtu(LINK, mtu)
    }
}

fn add_addresses(namespace: &Namespace, device: &str, network: Network, number: u8) -> Result<(), LabError> {
    for (address, prefix) in network.both(number) {
        namespace.add_address(device, address, prefix)?;
    }
    Ok(())
}
