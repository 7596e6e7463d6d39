//! Kinds of devices, what hangs together with them (ports of a bridge, MTU), and static neighbours, by
//! rtnetlink.

use super::{
    LabError, Namespace,
    netlink::{device_index, into_io, request},
};
use futures_util::TryStreamExt;
use netlink_packet_route::{
    link::{LinkAttribute, LinkMessage},
    neighbour::NeighbourFlags,
};
use rtnetlink::{LinkBridge, LinkUnspec, LinkVlan, LinkVxlan};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

/// A hardware address.
pub type Mac = [u8; 6];

/// flannel's port (its backend/vxlan documentation): Linux' own from before IANA assigned 4789.
const VXLAN_PORT: u16 = 8472;

pub(super) fn add_bridge(namespace: &Namespace, device: &str) -> Result<(), LabError> {
    add(namespace, device, || {
        // Snooping without a querier floods anyway, but not at once.
        Ok(LinkBridge::new(device).mcast_snooping(false).up().build())
    })
}

pub(super) fn add_vlan(namespace: &Namespace, device: &str, lower: &str, id: u16) -> Result<(), LabError> {
    add(namespace, device, || Ok(LinkVlan::new(device, device_index(lower)?, id).up().build()))
}

/// As flannel makes its device: nothing is learnt, peers are told by [`add_vxlan_peer`].
pub(super) fn add_vxlan(
    namespace: &Namespace,
    device: &str,
    lower: &str,
    local: Ipv4Addr,
    mac: Mac,
    mtu: u32,
) -> Result<(), LabError> {
    add(namespace, device, || {
        let link = LinkVxlan::new(device, 1).dev(device_index(lower)?).local(local).port(VXLAN_PORT);
        Ok(link.learning(false).address(mac.to_vec()).mtu(mtu).up().build())
    })
}

fn add(
    namespace: &Namespace,
    device: &str,
    message: impl FnOnce() -> io::Result<LinkMessage> + Send,
) -> Result<(), LabError> {
    request("RTM_NEWLINK", namespace, device, async |netlink| {
        netlink.link().add(message()?).execute().await.map_err(into_io)
    })
}

/// Makes a device a port of a bridge.
pub(super) fn set_controller(namespace: &Namespace, device: &str, bridge: &str) -> Result<(), LabError> {
    let what = format!("{device} to {bridge}");
    request("RTM_NEWLINK (port)", namespace, &what, async |netlink| {
        let port = LinkUnspec::new_with_index(device_index(device)?).controller(device_index(bridge)?);
        netlink.link().change(port.build()).execute().await.map_err(into_io)
    })
}

pub(super) fn set_mtu(namespace: &Namespace, device: &str, mtu: u32) -> Result<(), LabError> {
    let what = format!("{device} to {mtu}");
    request("RTM_NEWLINK (MTU)", namespace, &what, async |netlink| {
        let message = LinkUnspec::new_with_index(device_index(device)?).mtu(mtu).build();
        netlink.link().change(message).execute().await.map_err(into_io)
    })
}

pub(super) fn set_mac(namespace: &Namespace, device: &str, mac: Mac) -> Result<(), LabError> {
    request("RTM_NEWLINK (MAC)", namespace, device, async |netlink| {
        let message = LinkUnspec::new_with_index(device_index(device)?).address(mac.to_vec()).build();
        netlink.link().change(message).execute().await.map_err(into_io)
    })
}

/// A neighbour that is never asked for.
pub(super) fn add_neighbour(
    namespace: &Namespace,
    device: &str,
    address: IpAddr,
    mac: Mac,
) -> Result<(), LabError> {
    let what = format!("{device} {address}");
    request("RTM_NEWNEIGH", namespace, &what, async |netlink| {
        let neighbour = netlink.neighbours().add(device_index(device)?, address).link_layer_address(&mac);
        neighbour.replace().execute().await.map_err(into_io)
    })
}

/// Tells a VXLAN device which host has a hardware address: an entry of its forwarding database.
pub(super) fn add_vxlan_peer(
    namespace: &Namespace,
    device: &str,
    mac: Mac,
    host: Ipv4Addr,
) -> Result<(), LabError> {
    let what = format!("{device} peer {host}");
    request("RTM_NEWNEIGH (bridge)", namespace, &what, async |netlink| {
        let entry = netlink.neighbours().add_bridge(device_index(device)?, &mac);
        entry.flags(NeighbourFlags::Own).destination(host.into()).execute().await.map_err(into_io)
    })
}

pub(super) fn mac(namespace: &Namespace, device: &str) -> Result<Mac, LabError> {
    request("RTM_GETLINK", namespace, device, async |netlink| {
        let mut links = netlink.link().get().match_index(device_index(device)?).execute();
        let link = links.try_next().await.map_err(into_io)?;
        let attributes = link.map(|link| link.attributes).unwrap_or_default();
        let mac = attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::Address(mac) => Mac::try_from(mac).ok(),
            _ => None,
        });
        mac.ok_or_else(|| io::ErrorKind::NotFound.into())
    })
}
