//! [`Packet`] over `__sk_buff`.
//!
//! All access is by helpers that copy: they reach what lies beyond the linear part, and need no proof of bounds.

use crate::{tables::KernelTables, words};
use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM,
        bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, bpf_fib_lookup, bpf_redir_neigh, bpf_sock_tuple,
    },
    helpers::{
        bpf_fib_lookup as fib_lookup, bpf_l4_csum_replace, bpf_sk_lookup_udp, bpf_sk_release,
        bpf_skb_adjust_room, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
        bpf_skc_lookup_tcp,
    },
};
use core::{mem::MaybeUninit, ptr};
use proxy_common::{
    abi::{Address, TCP, Tuple},
    packet::{Fix, Hook, NextHop, Packet, PacketTables, Sum, Work},
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Address families of linux/socket.h.
pub(crate) const AF_INET: u8 = 2;
pub(crate) const AF_INET6: u8 = 10;

/// Results of bpf_fib_lookup (linux/bpf.h).
const FIB_SUCCESS: i64 = 0;
const FIB_NOT_FORWARDED: i64 = 4;
const FIB_NO_NEIGHBOUR: i64 = 7;
const FIB_FRAGMENTATION_NEEDED: i64 = 8;

/// VLAN_VID_MASK of linux/if_vlan.h.
const VLAN_ID: u32 = 0xfff;
/// PACKET_HOST of linux/if_packet.h: addressed to the device that it has arrived on.
const PACKET_HOST: u32 = 0;

/// BPF_F_CURRENT_NETNS: the network namespace of the packet's device.
const CURRENT_NETNS: u64 = -1_i64 as u64;

/// Bytes of the tuple of bpf_sk_lookup, by family.
const TUPLE4: u32 = 12;
const TUPLE6: u32 = 36;

/// A word of the context, by one load that the compiler leaves as it is.
macro_rules! read {
    ($skb:expr, $field:ident) => {{
        // SAFETY: the kernel hands every tc program a readable context of this type, and this only makes the
        // address of a field in it.
        let field = unsafe { &raw const (*$skb).$field };
        // SAFETY: as above; the verifier checks the access itself.
        unsafe { ptr::read_volatile(field) }
    }};
}

pub(crate) use read;

/// What the kernel's helpers are asked with.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Questions {
    fib: bpf_fib_lookup,
    socket: bpf_sock_tuple,
    pub(crate) neighbour: bpf_redir_neigh,
}

/// Value of the map SCRATCH. Only programs read it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Scratch {
    pub work: Work,
    pub questions: Questions,
    pub hook: Hook,
}

/// A packet in a tc program.
pub struct Skb {
    pub(crate) skb: *mut __sk_buff,
    pub(crate) hook: Hook,
    pub(crate) headerless: bool,
    questions: *mut Questions,
}

impl Skb {
    /// The packet of a program, whether it begins with its IP header (the first stage finds that out, and has no use
    /// for it), and this CPU's room for questions.
    #[inline(always)]
    pub fn new(skb: *mut __sk_buff, hook: Hook, headerless: bool, questions: *mut Questions) -> Self {
        Self { skb, hook, headerless, questions }
    }

    /// This CPU's room for questions.
    #[expect(clippy::mut_from_ref, reason = "one at a time, and none is kept across a call")]
    #[inline(always)]
    pub(crate) fn questions(&self) -> &mut Questions {
        // SAFETY: it is part of this CPU's value of SCRATCH, which a look-up gave out; nobody else uses it while
        // the program runs.
        unsafe { &mut *self.questions }
    }

    /// Whether the packet exceeds the MTU of a device. The kernel's own opinion counts only for one that Shunt is
    /// not attached to: bpf_fib_lookup compares the frame, link header included, with the MTU and the *other* link's
    /// header and a VLAN tag (`is_skb_forwardable`), and nothing at all while it does not know the neighbour.
    #[inline(always)]
    fn is_too_big(&self, device: u32, kernel_says: bool) -> bool {
        let Some(entry) = KernelTables.device(device) else { return kernel_says };
        let header = if self.headerless { 0 } else { 14 };
        // Several segments that travel as one are cut to size, at the latest by the tunnel they go through.
        self.segment() == 0 && self.length().wrapping_sub(header) > entry.mtu
    }
}

impl Packet for Skb {
    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        words::forget(value)
    }

    #[inline(always)]
    fn hook(&self) -> Hook {
        self.hook
    }

    #[inline(always)]
    fn device(&self) -> u32 {
        read!(self.skb, ifindex)
    }

    #[inline(always)]
    fn is_for_device(&self) -> bool {
        // A tag of VLAN 0 has a priority only.
        if read!(self.skb, vlan_present) != 0 && read!(self.skb, vlan_tci) & VLAN_ID != 0 {
            return false;
        }
        // As ip_rcv and ip_forward have it.
        self.hook as u8 == Hook::Egress as u8 || read!(self.skb, pkt_type) == PACKET_HOST
    }

    #[inline(always)]
    fn made_here(&self) -> bool {
        read!(self.skb, ingress_ifindex) == 0
    }

    #[inline(always)]
    fn ethertype(&self) -> u16 {
        read!(self.skb, protocol) as u16
    }

    #[inline(always)]
    fn length(&self) -> u32 {
        read!(self.skb, len)
    }

    #[inline(always)]
    fn segment(&self) -> u32 {
        read!(self.skb, gso_size)
    }

    #[inline(always)]
    fn load<V: FromBytes + Copy>(&self, at: u32) -> Option<V> {
        let mut value = MaybeUninit::<V>::uninit();
        // SAFETY: the helper fills all of `value`, or fails.
        let done = unsafe {
            bpf_skb_load_bytes(self.skb.cast(), at, value.as_mut_ptr().cast(), size_of::<V>() as u32)
        };
        if done != 0 {
            return None;
        }
        // SAFETY: it was filled, and any bytes are a valid V.
        Some(unsafe { value.assume_init() })
    }

    #[inline(always)]
    fn store<V: IntoBytes + Immutable>(&mut self, at: u32, value: &V, sum: Sum) -> Option<()> {
        let flags = match sum {
            Sum::Balanced => 0,
            Sum::Changed => BPF_F_RECOMPUTE_CSUM,
        };
        // SAFETY: the helper reads all of `value` and no more.
        let done = unsafe {
            bpf_skb_store_bytes(
                self.skb,
                at,
                ptr::from_ref(value).cast(),
                size_of::<V>() as u32,
                u64::from(flags),
            )
        };
        (done == 0).then_some(())
    }

    #[inline(always)]
    fn fix_checksum(&mut self, at: u32, difference: u32, what: Fix, udp: bool) -> Option<()> {
        let mut flags = match what {
            Fix::PseudoHeader => BPF_F_PSEUDO_HDR,
            Fix::Payload => 0,
        };
        if udp {
            flags |= BPF_F_MARK_MANGLED_0;
        }
        // SAFETY: the helper takes plain numbers and `skb`, the context of this program.
        let done = unsafe { bpf_l4_csum_replace(self.skb, at, 0, u64::from(difference), u64::from(flags)) };
        (done == 0).then_some(())
    }

    #[inline(always)]
    fn next_hop(&self, source: Address, destination: Address) -> NextHop {
        let query = &mut self.questions().fib;
        // SAFETY: `query` is that many bytes, for which zeros are valid, at the beginning of `Questions`.
        unsafe { words::zero::<{ size_of::<bpf_fib_lookup>() / 8 }>(ptr::from_mut(query).cast()) };
        query.ifindex = self.device();
        match (source.v4_word(), destination.v4_word()) {
            (Some(source), Some(destination)) => {
                query.family = AF_INET;
                query.__bindgen_anon_3.ipv4_src = source;
                query.__bindgen_anon_4.ipv4_dst = destination;
            }
            _ => {
                query.family = AF_INET6;
                query.__bindgen_anon_3.ipv6_src = source.words;
                query.__bindgen_anon_4.ipv6_dst = destination.words;
            }
        }
        // SAFETY: the helper reads and writes all of `query` and no more.
        let found = unsafe {
            fib_lookup(self.skb.cast(), ptr::from_mut(query), size_of::<bpf_fib_lookup>() as i32, 0)
        };
        let device = query.ifindex;
        match found {
            FIB_SUCCESS | FIB_NO_NEIGHBOUR | FIB_FRAGMENTATION_NEEDED => {
                if self.is_too_big(device, found == FIB_FRAGMENTATION_NEEDED) {
                    return NextHop::TooBig { device };
                }
                // A packet that waits for its neighbour's hardware address goes, once that is known, where the route
                // that is attached to it leads (neigh_update): at egress that is the route to the frontend. Only a
                // route that bpf_redirect_neigh looked up itself takes its place.
                if found == FIB_NO_NEIGHBOUR {
                    return NextHop::Device { device, gateway: Address::default() };
                }
                let gateway = if query.family == AF_INET {
                    // SAFETY: of these fields' union the kernel has filled the one of this family.
                    Address::from_v4_word(unsafe { query.__bindgen_anon_4.ipv4_dst })
                } else {
                    // SAFETY: as above.
                    Address { words: unsafe { query.__bindgen_anon_4.ipv6_dst } }
                };
                NextHop::Device { device, gateway }
            }
            FIB_NOT_FORWARDED => NextHop::Local,
            _ => NextHop::None,
        }
    }

    #[inline(always)]
    fn has_socket(&self, tuple: &Tuple) -> bool {
        let key = &mut self.questions().socket;
        let size = match (tuple.source.v4_word(), tuple.destination.v4_word()) {
            (Some(source), Some(destination)) => {
                let ipv4 = &raw mut key.__bindgen_anon_1.ipv4;
                // SAFETY: `ipv4` is a field of `key`.
                let ipv4 = unsafe { &mut *ipv4 };
                ipv4.saddr = source;
                ipv4.daddr = destination;
                ipv4.sport = tuple.source_port;
                ipv4.dport = tuple.destination_port;
                TUPLE4
            }
            _ => {
                let ipv6 = &raw mut key.__bindgen_anon_1.ipv6;
                // SAFETY: `ipv6` is a field of `key`.
                let ipv6 = unsafe { &mut *ipv6 };
                ipv6.saddr = tuple.source.words;
                ipv6.daddr = tuple.destination.words;
                ipv6.sport = tuple.source_port;
                ipv6.dport = tuple.destination_port;
                TUPLE6
            }
        };
        let context = self.skb.cast();
        let socket = if tuple.protocol == u32::from(TCP) {
            // SAFETY: the helper reads `size` bytes of `key`.
            unsafe { bpf_skc_lookup_tcp(context, ptr::from_mut(key), size, CURRENT_NETNS, 0) }.cast()
        } else {
            // SAFETY: as above.
            unsafe { bpf_sk_lookup_udp(context, ptr::from_mut(key), size, CURRENT_NETNS, 0) }
        };
        if socket.is_null() {
            return false;
        }
        // SAFETY: a look-up gave this socket out, and it is not used any more.
        unsafe { bpf_sk_release(socket.cast()) };
        true
    }

    #[inline(always)]
    fn resize(&mut self, len: u32) -> Option<()> {
        // SAFETY: `skb` is the context of this program, which the helper asks for.
        let done = unsafe { bpf_skb_change_tail(self.skb, len, 0) };
        (done == 0).then_some(())
    }

    #[inline(always)]
    fn make_room(&mut self, bytes: i32) -> Option<()> {
        // SAFETY: as above.
        let done = unsafe { bpf_skb_adjust_room(self.skb, bytes, BPF_ADJ_ROOM_MAC, 0) };
        (done == 0).then_some(())
    }
}
