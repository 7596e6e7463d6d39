//! A packet in memory that behaves like one in the kernel: what its checksum is worth, what can be cut off, what
//! helpers refuse.

use crate::{
    net::Net,
    text::Datagram,
    wire::{self, checksum_field, crc32c, protocol_number, pseudo_header},
};
use etherparse::checksum::Sum16BitWords;
use proxy_common::{
    abi::{Address, Tuple},
    packet::{Fix, Hook, NextHop, Packet, Sum},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What the kernel knows of a packet's transport checksum (linux/skbuff.h).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Summed {
    /// CHECKSUM_NONE, CHECKSUM_UNNECESSARY: it is in the packet.
    None,
    /// CHECKSUM_PARTIAL: what follows `start` is yet to be summed into `field`; by CRC32c for SCTP.
    Partial { start: usize, field: usize, crc: bool },
    /// CHECKSUM_COMPLETE: a device computed this sum over everything from the IP header on.
    Complete(u16),
}

/// The kind of packet that a test asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    None,
    Partial,
    Complete,
}

/// What stands before the IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    Ethernet,
    /// With this many VLAN tags in the packet.
    Tagged(usize),
    /// Nothing.
    Headerless,
}

pub const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

#[derive(Clone)]
pub struct Frame<'a> {
    pub bytes: Vec<u8>,
    pub summed: Summed,
    pub hook: Hook,
    pub device: u32,
    pub made_here: bool,
    pub segmented: bool,
    pub v6: bool,
    pub link: Link,
    pub net: &'a Net,
    /// bpf_skb_change_tail and bpf_skb_adjust_room find no memory.
    pub no_memory: bool,
}

/// A sum that grows by `new` in place of `old`, both at an even offset.
fn replaced(sum: u16, old: &[u8], new: &[u8]) -> u16 {
    let old = Sum16BitWords::new().add_slice(old).ones_complement();
    !Sum16BitWords::new()
        .add_2bytes(sum.to_ne_bytes())
        .add_2bytes(old.to_ne_bytes())
        .add_slice(new)
        .ones_complement()
}

impl<'a> Frame<'a> {
    pub fn new(net: &'a Net, packet: &Datagram, kind: Kind, link: Link, hook: Hook, device: u32) -> Self {
        let v6 = packet.is_v6();
        let mut bytes = Vec::new();
        if link != Link::Headerless {
            bytes.extend(MACS);
        }
        if let Link::Tagged(tags) = link {
            bytes.extend([0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 0x81, 0, 0, 7].iter().skip(12 - 4 * tags));
        }
        if link != Link::Headerless {
            bytes.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
        }
        bytes.extend(wire::bytes(packet));
        let made_here = hook == Hook::Egress;
        let (segmented, no_memory) = (false, false);
        let mut frame = Self {
            bytes,
            summed: Summed::None,
            hook,
            device,
            made_here,
            segmented,
            v6,
            link,
            net,
            no_memory,
        };
        match kind {
            Kind::None => {}
            Kind::Partial => frame.leave_checksum(packet),
            Kind::Complete => frame.complete(),
        }
        frame
    }

    /// Where the IP header begins.
    pub fn ip(&self) -> usize {
        match self.link {
            Link::Headerless => 0,
            Link::Ethernet => 14,
            Link::Tagged(tags) => 14 + 4 * tags,
        }
    }

    /// Lets a device compute the sum of the packet.
    pub fn complete(&mut self) {
        let sum = Sum16BitWords::new().add_slice(&self.bytes[self.ip()..]);
        self.summed = Summed::Complete(!sum.ones_complement());
    }

    /// Makes it a packet as veth passes them on, whose checksum a device is to complete.
    fn leave_checksum(&mut self, packet: &Datagram) {
        let protocol = protocol_number(packet);
        let Some(offset) = checksum_field(protocol) else { return };
        if packet.fragment.is_some() || packet.has("nosum") {
            return;
        }
        let length = match protocol {
            6 => 20 + packet.data,
            17 => 8 + packet.data,
            _ => 16 + packet.data,
        };
        let start = self.bytes.len() - length;
        let field = start + offset;
        if protocol == 132 {
            self.bytes[field..field + 4].fill(0);
        } else {
            let seed =
                !pseudo_header(packet.source.ip, packet.destination.ip, protocol, length).ones_complement();
            self.bytes[field..field + 2].copy_from_slice(&seed.to_ne_bytes());
        }
        self.summed = Summed::Partial { start, field, crc: protocol == 132 };
    }

    /// Completes the checksum, as the last device does (net/core/dev.c, skb_checksum_help), or verifies the sum that
    /// the first one computed.
    pub fn finish(&mut self) {
        match self.summed {
            Summed::None => {}
            Summed::Partial { start, field, crc: true } => {
                let sum = crc32c(&self.bytes[start..]).to_le_bytes();
                self.bytes[field..field + 4].copy_from_slice(&sum);
            }
            Summed::Partial { start, field, crc: false } => {
                let sum =
                    Sum16BitWords::new().add_slice(&self.bytes[start..]).to_ones_complement_with_no_zero();
                self.bytes[field..field + 2].copy_from_slice(&sum.to_ne_bytes());
            }
            Summed::Complete(sum) => {
                let really = !Sum16BitWords::new().add_slice(&self.bytes[self.ip()..]).ones_complement();
                assert_eq!(
                    sum % 0xffff,
                    really % 0xffff,
                    "the device's sum does not fit the packet any more"
                );
            }
        }
        self.summed = Summed::None;
    }

    fn range(&self, at: u32, length: usize) -> Option<std::ops::Range<usize>> {
        let at = at as usize;
        (at + length <= self.bytes.len() && length > 0).then(|| at..at + length)
    }
}

impl Packet for Frame<'_> {
    fn hook(&self) -> Hook {
        self.hook
    }
    fn device(&self) -> u32 {
        self.device
    }
    fn made_here(&self) -> bool {
        self.made_here
    }
    fn ethertype(&self) -> u16 {
        match self.link {
            Link::Headerless => if self.v6 { 0x86dd_u16 } else { 0x0800 }.to_be(),
            _ => u16::from_ne_bytes([self.bytes[12], self.bytes[13]]),
        }
    }
    fn length(&self) -> u32 {
        self.bytes.len() as u32
    }
    fn segment(&self) -> u32 {
        if self.segmented { 1_000 } else { 0 }
    }

    fn load<V: FromBytes + Copy>(&self, at: u32) -> Option<V> {
        V::read_from_bytes(&self.bytes[self.range(at, size_of::<V>())?]).ok()
    }

    fn store<V: IntoBytes + Immutable>(&mut self, at: u32, value: &V, sum: Sum) -> Option<()> {
        let range = self.range(at, size_of::<V>())?;
        assert!(at.is_multiple_of(2) || size_of::<V>() == 1);
        if let (Summed::Complete(total), Sum::Changed) = (self.summed, sum) {
            // A single byte is summed with its neighbour.
            let even = range.start & !1..range.end + (range.end & 1);
            let old = self.bytes[even.clone()].to_vec();
            self.bytes[range.clone()].copy_from_slice(value.as_bytes());
            self.summed = Summed::Complete(replaced(total, &old, &self.bytes[even]));
        }
        self.bytes[range].copy_from_slice(value.as_bytes());
        Some(())
    }

    /// bpf_l4_csum_replace: inet_proto_csum_replace_by_diff in net/core/utils.c.
    fn fix_checksum(&mut self, at: u32, difference: u32, what: Fix, udp: bool) -> Option<()> {
        let range = self.range(at, 2)?;
        assert!(at.is_multiple_of(2), "the helper refuses odd offsets");
        let old = u16::from_ne_bytes([self.bytes[range.start], self.bytes[range.start + 1]]);
        if udp && old == 0 {
            return Some(());
        }
        let grown = |sum: u16| {
            !Sum16BitWords::new()
                .add_2bytes(sum.to_ne_bytes())
                .add_4bytes(difference.to_ne_bytes())
                .ones_complement()
        };
        let pseudo = what == Fix::PseudoHeader;
        let mut new = match self.summed {
            Summed::Partial { .. } if pseudo => grown(old),
            Summed::Partial { .. } => old,
            _ => !grown(!old),
        };
        if let (Summed::Complete(total), true) = (self.summed, pseudo) {
            self.summed = Summed::Complete(!grown(!total));
        }
        if udp && new == 0 {
            new = 0xffff;
        }
        self.bytes[range].copy_from_slice(&new.to_ne_bytes());
        Some(())
    }

    fn next_hop(&self, source: Address, destination: Address) -> NextHop {
        let length = self.bytes.len() - self.ip();
        self.net.next_hop(source.to_ip(), destination.to_ip(), if self.segmented { 0 } else { length })
    }

    fn has_socket(&self, tuple: &Tuple) -> bool {
        self.net.has_socket(tuple)
    }

    /// bpf_skb_change_tail: net/core/filter.c.
    fn resize(&mut self, len: u32) -> Option<()> {
        let least = match self.summed {
            Summed::Partial { field, .. } => field + 2,
            _ => self.ip(),
        };
        let len = len as usize;
        if len < least || self.no_memory {
            return None;
        }
        if len != self.bytes.len() && matches!(self.summed, Summed::Complete(_)) {
            self.summed = Summed::None;
        }
        self.bytes.resize(len, 0);
        self.segmented = false;
        Some(())
    }

    /// bpf_skb_adjust_room, BPF_ADJ_ROOM_MAC: net/core/filter.c.
    fn make_room(&mut self, bytes: i32) -> Option<()> {
        let ip = self.ip();
        let least = if self.v6 { 40 } else { 20 };
        let amount = bytes.unsigned_abs() as usize;
        if matches!(self.link, Link::Tagged(_)) || self.no_memory || amount > 0xfff {
            return None;
        }
        if bytes > 0 {
            self.bytes.splice(ip..ip, vec![0; amount]);
        } else {
            if self.bytes.len() < ip + amount + least {
                return None;
            }
            let gone: Vec<_> = self.bytes.drain(ip..ip + amount).collect();
            if let Summed::Complete(total) = self.summed {
                self.summed = Summed::Complete(replaced(total, &gone, &[]));
            }
        }
        if let Summed::Partial { start, field, crc } = self.summed {
            let moved = |at: usize| at.wrapping_add_signed(bytes as isize);
            self.summed = if moved(start) > self.bytes.len() {
                Summed::None
            } else {
                Summed::Partial { start: moved(start), field: moved(field), crc }
            };
        }
        Some(())
    }
}
