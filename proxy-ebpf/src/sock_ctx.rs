//! Accessors of the contexts that the kernel hands to the socket programs. Each field is read by
//! one 32-bit volatile load at its own offset: the verifier checks offset and width of every access
//! to a context, and LLVM may otherwise merge, split or narrow them.

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    programs::{SockAddrContext, SockContext},
};
use core::{marker::PhantomData, ptr};
use proxy_common::{
    abi::{Address, SocketPeer},
    datapath::Dial,
};

/// `AF_INET6` of linux/socket.h, on every architecture.
const AF_INET6: u32 = 10;

/// A word of a context, by one load that the compiler leaves as it is.
macro_rules! read {
    ($context:expr, $($field:tt)+) => {{
        // SAFETY: the kernel hands every program a readable context of this type, and this only
        // makes the address of a field in it.
        let field = unsafe { &raw const (*$context).$($field)+ };
        // SAFETY: as above; the verifier checks the access itself.
        unsafe { ptr::read_volatile(field.cast::<u32>()) }
    }};
}

/// Replaces a word of a context, by one store that the compiler leaves as it is.
macro_rules! write {
    ($value:expr => $context:expr, $($field:tt)+) => {{
        // SAFETY: the kernel hands every program a context of this type, and this only makes the
        // address of a field in it.
        let field = unsafe { &raw mut (*$context).$($field)+ };
        // SAFETY: the destination of a socket call is writable in every hook that we attach to; the
        // verifier checks the access itself.
        unsafe { ptr::write_volatile(field, $value) }
    }};
}

/// Which fields of the context hold the address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// A socket call with an address: connect, sendmsg, recvmsg or getpeername.
pub struct SocketCall<'a> {
    context: *mut bpf_sock_addr,
    family: Family,
    lifetime: PhantomData<&'a SockAddrContext>,
}

impl<'a> SocketCall<'a> {
    /// The call of a `*4` hook.
    #[inline(always)]
    pub fn v4(context: &'a SockAddrContext) -> Self {
        Self { context: context.sock_addr, family: Family::V4, lifetime: PhantomData }
    }

    /// The call of a `*6` hook.
    #[inline(always)]
    pub fn v6(context: &'a SockAddrContext) -> Self {
        Self { context: context.sock_addr, family: Family::V6, lifetime: PhantomData }
    }

    /// The socket's cookie; made now if it has none yet.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: `context` is the context of this program, which the helper asks for.
        unsafe { bpf_get_socket_cookie(self.context.cast()) }
    }

    /// Cookie of the socket's network namespace (Linux 5.7, commit f318903c0bf4).
    #[inline(always)]
    pub fn netns_cookie(&self) -> u64 {
        // SAFETY: `context` is the context of this program, which the helper asks for.
        unsafe { bpf_get_netns_cookie(self.context.cast()) }
    }

    /// The address and port that the call names (connect, sendmsg) or will show (the others).
    #[inline(always)]
    pub fn peer(&self) -> SocketPeer {
        let address = match self.family {
            Family::V4 => Address::from_v4_word(read!(self.context, user_ip4)),
            Family::V6 => Address {
                words: [
                    read!(self.context, user_ip6[0]),
                    read!(self.context, user_ip6[1]),
                    read!(self.context, user_ip6[2]),
                    read!(self.context, user_ip6[3]),
                ],
            },
        };
        // Network byte order, in the low half.
        SocketPeer::new(address, read!(self.context, user_port) as u16)
    }

    /// Address and port that the socket is connected to; port zero if it is not.
    #[inline(always)]
    pub fn connected(&self) -> SocketPeer {
        // SAFETY: the kernel hands every program a readable context, and this only makes the address of
        // a field in it.
        let field = unsafe { &raw const (*self.context).__bindgen_anon_1.sk };
        // SAFETY: as above; the verifier checks the access, and knows the socket behind it (Linux 5.3,
        // commit fb85c4a730af).
        let socket = unsafe { ptr::read_volatile(field) };
        let address = match self.family {
            // An IPv6 socket that is connected to an IPv4-mapped address has it here too.
            Family::V4 => Address::from_v4_word(read!(socket, dst_ip4)),
            Family::V6 => Address {
                words: [
                    read!(socket, dst_ip6[0]),
                    read!(socket, dst_ip6[1]),
                    read!(socket, dst_ip6[2]),
                    read!(socket, dst_ip6[3]),
                ],
            },
        };
        // As in [`ReleasedSocket::peer`].
        SocketPeer::new(address, read!(socket, dst_port) as u16)
    }

    /// The call as the datapath wants it.
    #[inline(always)]
    pub fn dial(&self) -> Dial {
        Dial { cookie: self.cookie(), peer: self.peer(), protocol: read!(self.context, protocol) as u8 }
    }

    /// Replaces address and port of the call. In a `*4` hook `peer` must be an IPv4 address, and in a
    /// `*6` hook of the same kind as before: the kernel does not turn an IPv6 datagram into an IPv4
    /// one (`ENOTSUPP`). Both hold, for a service has endpoints of its own family only.
    #[inline(always)]
    pub fn set_peer(&self, peer: &SocketPeer) {
        let [a, b, c, d] = peer.address.words;
        match self.family {
            Family::V4 => write!(d => self.context, user_ip4),
            Family::V6 => {
                write!(a => self.context, user_ip6[0]);
                write!(b => self.context, user_ip6[1]);
                write!(c => self.context, user_ip6[2]);
                write!(d => self.context, user_ip6[3]);
            }
        }
        write!(u32::from(peer.port) => self.context, user_port);
    }
}

/// A socket that is being closed.
pub struct ReleasedSocket<'a> {
    context: *mut bpf_sock,
    lifetime: PhantomData<&'a SockContext>,
}

impl<'a> ReleasedSocket<'a> {
    /// The socket of a sock_release hook.
    #[inline(always)]
    pub fn new(context: &'a SockContext) -> Self {
        Self { context: context.sock, lifetime: PhantomData }
    }

    /// The socket's cookie.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: `context` is the context of this program, which the helper asks for (Linux 5.7,
        // commit fcf752ea68fd).
        unsafe { bpf_get_socket_cookie(self.context.cast()) }
    }

    /// Address and port that the socket is connected to; port zero if it is not.
    #[inline(always)]
    pub fn peer(&self) -> SocketPeer {
        // Both are read before one is taken: LLVM would turn a load in each branch into one load at
        // an offset chosen before, volatile or not, and the verifier refuses that.
        let v4 = Address::from_v4_word(read!(self.context, dst_ip4));
        let v6 = Address {
            words: [
                read!(self.context, dst_ip6[0]),
                read!(self.context, dst_ip6[1]),
                read!(self.context, dst_ip6[2]),
                read!(self.context, dst_ip6[3]),
            ],
        };
        // An IPv6 socket that talks IPv4 has the IPv4-mapped address there, which is our form too.
        let address = if read!(self.context, family) == AF_INET6 { v6 } else { v4 };
        // Network byte order. A 32-bit load works on every kernel: up to 5.17 it is the only one
        // documented, and since (commit 4421a582718a made the field 16 bits wide) it still gives the
        // port in the low half.
        SocketPeer::new(address, read!(self.context, dst_port) as u16)
    }
}

/// A socket that has just been bound.
pub struct BoundSocket<'a> {
    context: *mut bpf_sock,
    family: Family,
    lifetime: PhantomData<&'a SockContext>,
}

impl<'a> BoundSocket<'a> {
    /// The socket of a post_bind4 hook.
    #[inline(always)]
    pub fn v4(context: &'a SockContext) -> Self {
        Self { context: context.sock, family: Family::V4, lifetime: PhantomData }
    }

    /// The socket of a post_bind6 hook.
    #[inline(always)]
    pub fn v6(context: &'a SockContext) -> Self {
        Self { context: context.sock, family: Family::V6, lifetime: PhantomData }
    }

    /// Cookie of the socket's network namespace (Linux 5.7, commit f318903c0bf4).
    #[inline(always)]
    pub fn netns_cookie(&self) -> u64 {
        // SAFETY: `context` is the context of this program, which the helper asks for.
        unsafe { bpf_get_netns_cookie(self.context.cast()) }
    }

    /// IP protocol number.
    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        read!(self.context, protocol) as u8
    }

    /// Address and port that it is bound to.
    #[inline(always)]
    pub fn own(&self) -> SocketPeer {
        let address = match self.family {
            Family::V4 => Address::from_v4_word(read!(self.context, src_ip4)),
            Family::V6 => Address {
                words: [
                    read!(self.context, src_ip6[0]),
                    read!(self.context, src_ip6[1]),
                    read!(self.context, src_ip6[2]),
                    read!(self.context, src_ip6[3]),
                ],
            },
        };
        // Host byte order, unlike the ports of peers.
        SocketPeer::new(address, (read!(self.context, src_port) as u16).to_be())
    }
}
