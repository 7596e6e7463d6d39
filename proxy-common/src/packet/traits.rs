//! A packet, and the kernel around it.

use crate::abi::{Address, Tuple};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where a packet is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Hook {
    /// It has arrived on a device.
    Ingress = 0,
    /// It is about to leave by a device.
    Egress = 1,
}

/// Where a packet would go next, by the node's routes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NextHop {
    /// Out of a device, to this neighbour; of the other family where an IPv4 route leads over an IPv6 gateway.
    Device {
        /// Index of the device.
        device: u32,
        /// The neighbour; `::` for whichever the kernel finds, because nobody knows its hardware address yet.
        gateway: Address,
    },
    /// To the node itself.
    Local,
    /// Out of this device, whose MTU it exceeds.
    TooBig {
        /// Index of the device.
        device: u32,
    },
    /// Nowhere.
    None,
}

/// What the program does with a packet at last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It goes on its way.
    Pass,
    /// It ends here.
    Drop,
    /// It leaves by this device, to this neighbour.
    Forward {
        /// Index of the device.
        device: u32,
        /// The neighbour, as in [`NextHop::Device`].
        gateway: Address,
    },
    /// It goes back to where it came from: it is an answer now.
    Return,
    /// The node sees it arrive on this device.
    Inject {
        /// Index of the device.
        device: u32,
    },
}

/// Whether the checksum that a device computed over the whole packet must learn of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sum {
    /// No: another store makes up for it, as an Internet checksum in the packet always does.
    Balanced,
    /// Yes.
    Changed,
}

/// What a correction of an Internet checksum is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fix {
    /// The pseudo-header: addresses, length and protocol. Part of a checksum that a device has yet to complete.
    PseudoHeader,
    /// What follows it in the packet. A device that has yet to complete the checksum finds it there.
    Payload,
}

/// A packet, and what the kernel knows around it. Offsets are bytes from its first one, which is that of the link
/// header where there is one. A method fails where the packet ends before, or memory does.
pub trait Packet {
    /// The same value, of which a verifier knows nothing any more. Up to Linux 6.1 it would walk what follows once
    /// for each value that different ways lead to.
    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        value
    }
    /// Where it is met.
    fn hook(&self) -> Hook;
    /// Index of the device.
    fn device(&self) -> u32;
    /// Whether the link delivers it to this device: not a frame to another host, which a switch has flooded, or to
    /// all; nor one of a VLAN, which belongs to the VLAN's own device, if the node has one.
    #[inline(always)]
    fn is_for_device(&self) -> bool {
        true
    }
    /// Whether a socket of this network namespace sent it.
    fn made_here(&self) -> bool;
    /// Its EtherType, network byte order; that of the first VLAN tag which stands in the packet, if one does.
    fn ethertype(&self) -> u16;
    /// Its length in bytes.
    fn length(&self) -> u32;
    /// Where several segments travel as one, to be cut apart on the way out: bytes of payload that each gets. Else
    /// zero.
    fn segment(&self) -> u32;
    /// Reads from it.
    fn load<V: FromBytes + Copy>(&self, at: u32) -> Option<V>;
    /// Writes into it.
    fn store<V: IntoBytes + Immutable>(&mut self, at: u32, value: &V, sum: Sum) -> Option<()>;
    /// Corrects the Internet checksum at `at` by a difference of [`super::checksum`]. With `udp` zero stands for
    /// "none": it stays, and is never made.
    fn fix_checksum(&mut self, at: u32, difference: u32, what: Fix, udp: bool) -> Option<()>;
    /// Where a packet of this length from `source` to `destination` would go.
    fn next_hop(&self, source: Address, destination: Address) -> NextHop;
    /// Whether a socket of the node would take a packet of this tuple.
    fn has_socket(&self, tuple: &Tuple) -> bool;
    /// Cuts off or adds bytes (zeros) at the end.
    fn resize(&mut self, len: u32) -> Option<()>;
    /// Puts `bytes` zeros between the link header and the IP header; or takes as many away there, if negative.
    fn make_room(&mut self, bytes: i32) -> Option<()>;
}
