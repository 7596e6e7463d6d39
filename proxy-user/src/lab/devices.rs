//! More kinds of devices in a namespace than the veth pairs of [`Namespace::connect`].

use super::{LabError, Mac, Namespace, links, offload, settle};
use std::net::{IpAddr, Ipv4Addr};

impl Namespace {
    /// Makes a bridge, up, without spanning tree.
    ///
    /// # Errors
    /// If a device of that name is there already.
    pub fn add_bridge(&self, bridge: &str) -> Result<(), LabError> {
        links::add_bridge(self, bridge)
    }

    /// Makes a device a port of a bridge of this namespace.
    ///
    /// # Errors
    /// If there is no such device or bridge.
    pub fn add_port(&self, bridge: &str, device: &str) -> Result<(), LabError> {
        links::set_controller(self, device, bridge)
    }

    /// Makes a VLAN device on another device, up.
    ///
    /// # Errors
    /// [`LabError::is_unsupported`] where the kernel has no VLAN devices.
    pub fn add_vlan(&self, device: &str, lower: &str, id: u16) -> Result<(), LabError> {
        links::add_vlan(self, device, lower, id)?;
        settle::is_running(self, device)
    }

    /// Makes a VXLAN device (network 1, UDP port 8472) that learns nothing, up. What it knows of its peers
    /// comes from [`Namespace::add_vxlan_peer`].
    ///
    /// # Errors
    /// [`LabError::is_unsupported`] where the kernel has no VXLAN devices.
    pub fn add_vxlan(
        &self,
        device: &str,
        lower: &str,
        local: Ipv4Addr,
        mac: Mac,
        mtu: u32,
    ) -> Result<(), LabError> {
        links::add_vxlan(self, device, lower, local, mac, mtu)?;
        settle::is_running(self, device)
    }

    /// Sends what is for a hardware address through the tunnel to a host.
    ///
    /// # Errors
    /// If there is no such VXLAN device, or it knows the hardware address already.
    pub fn add_vxlan_peer(&self, device: &str, mac: Mac, host: Ipv4Addr) -> Result<(), LabError> {
        links::add_vxlan_peer(self, device, mac, host)
    }

    /// Adds or replaces a neighbour that is never asked for.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn add_neighbour(&self, device: &str, address: IpAddr, mac: Mac) -> Result<(), LabError> {
        links::add_neighbour(self, device, address, mac)
    }

    /// Sets the largest packet that a device sends, in bytes without the link's header. IPv6 wants 1280.
    ///
    /// # Errors
    /// If there is no such device or it cannot have that MTU.
    pub fn set_mtu(&self, device: &str, mtu: u32) -> Result<(), LabError> {
        links::set_mtu(self, device, mtu)
    }

    /// Sets the hardware address of a device.
    ///
    /// # Errors
    /// If there is no such device or it has none.
    pub fn set_mac(&self, device: &str, mac: Mac) -> Result<(), LabError> {
        links::set_mac(self, device, mac)
    }

    /// The hardware address of a device.
    ///
    /// # Errors
    /// If there is no such device or it has none.
    pub fn mac(&self, device: &str) -> Result<Mac, LabError> {
        links::mac(self, device)
    }

    /// Whether what a device sends has its checksums still to be computed, by hardware that a veth does not have:
    /// such a packet is taken as intact wherever it arrives. Without the offload, sockets compute every checksum
    /// and cut every packet to size, and receivers verify.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn has_checksum_offload(&self, device: &str) -> Result<bool, LabError> {
        offload::checksum(self, device)
    }

    /// Switches that on or off. It is on at first.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn set_checksum_offload(&self, device: &str, on: bool) -> Result<(), LabError> {
        offload::set_checksum(self, device, on)
    }
}
