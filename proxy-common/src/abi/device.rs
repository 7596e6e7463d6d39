//! DEVICES and PACKETS: where the packet path is attached, and how it does its work.

use super::{Address, flags::flags};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entry of DEVICES, keyed by interface index: a device that both packet programs are attached to.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct DeviceEntry {
    /// Source address of what the node sends out of it in a client's place, IPv6; unspecified for none.
    pub address6: Address,
    /// The same, IPv4, network byte order; zero for none.
    pub address4: u32,
    /// Its MTU: bytes of an IP packet.
    pub mtu: u32,
    /// Facts about it.
    pub flags: DeviceFlags,
    /// Its hardware address, six bytes; zero where it has none.
    pub mac: [u16; 3],
    /// Zero.
    pub reserved: u16,
}

flags! {
    /// Facts about a device, as bits.
    pub struct DeviceFlags(u32);
    /// Its packets begin with their IP header: tun, WireGuard, IPIP.
    HEADERLESS = 1;
    /// It leads to pods of this node: what arrives on it is theirs (`--pod-interfaces`).
    PODS = 1 << 1;
}

/// The only entry of PACKETS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PacketSettings {
    /// How the work is done.
    pub flags: PacketFlags,
    /// First source port for what the node sends in a client's place, host byte order.
    pub first_port: u16,
    /// Number of those ports; zero for none.
    pub ports: u16,
}

flags! {
    /// How the packet path works, as bits.
    pub struct PacketFlags(u32);
    /// Every backend sees an address of the node in place of the client's (`--masquerade always`).
    MASQUERADE_ALWAYS = 1;
    /// A process of the node may not bind a NodePort (`--bind-protection`).
    BIND_PROTECTION = 1 << 1;
    /// A TCP or SCTP packet that neither begins a flow nor belongs to a known one is left alone: kube-proxy was here,
    /// and the kernel (nf_conntrack) may translate the flow still.
    LEAVE_UNKNOWN = 1 << 2;
}

const _: () = assert!(size_of::<DeviceEntry>() == 36);
const _: () = assert!(size_of::<PacketSettings>() == 8);
