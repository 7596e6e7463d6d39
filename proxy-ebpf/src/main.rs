//! The programs: entry points of a few lines over `proxy_common::datapath`. Every decision is made
//! there and runs in unit tests; this crate holds the maps and the edges to the kernel.
#![no_std]
#![no_main]

mod bridge;
mod client;
mod clock;
mod globals;
mod log;
mod maps;
mod packet_stages;
mod packet_tables;
mod send;
mod skb;
mod sock_ctx;
mod tables;
mod words;

use aya_ebpf::{
    macros::{cgroup_sock, cgroup_sock_addr, classifier},
    programs::{SockAddrContext, SockContext, TcContext},
};
use client::SocketClient;
use maps::{
    BEFORE_CONNECT4, BEFORE_CONNECT6, BEFORE_PEER4, BEFORE_PEER6, BEFORE_RECVMSG4, BEFORE_RECVMSG6,
    BEFORE_RELEASE, BEFORE_SENDMSG4, BEFORE_SENDMSG6,
};
use proxy_common::{
    abi::{PacketFlags, SocketKey, SocketPeer, TCP},
    datapath::{self, Decision, Dial, Tables},
    packet::{Hook, PacketTables, Stages},
};

use sock_ctx::{BoundSocket, ReleasedSocket, SocketCall};
use tables::KernelTables;

/// The call, or the end of the socket, goes on. The only value that recvmsg and getpeername may
/// return: the verifier refuses any other there.
const PROCEED: i32 = 1;
/// The call fails with EPERM, or with what bpf_set_retval said.
const FAIL: i32 = 0;

/// connect() of an IPv4 socket, and of a UDP one of IPv6 to an AF_INET address.
#[cgroup_sock_addr(connect4)]
fn connect4(ctx: SockAddrContext) -> i32 {
    if bridge::defers() {
        bridge::hand_over(&BEFORE_CONNECT4, &ctx, 0);
    }
    let call = SocketCall::v4(&ctx);
    let dial = call.dial();
    finish(&call, &dial, datapath::connect(&KernelTables, &SocketClient(&call), &dial))
}

/// connect() of an IPv6 socket, IPv4-mapped addresses included.
#[cgroup_sock_addr(connect6)]
fn connect6(ctx: SockAddrContext) -> i32 {
    if bridge::defers() {
        bridge::hand_over(&BEFORE_CONNECT6, &ctx, 0);
    }
    let call = SocketCall::v6(&ctx);
    let dial = call.dial();
    finish(&call, &dial, datapath::connect(&KernelTables, &SocketClient(&call), &dial))
}

/// sendmsg() with an IPv4 address on a UDP socket, connected or not; with an IPv4-mapped one too.
#[cgroup_sock_addr(sendmsg4)]
fn sendmsg4(ctx: SockAddrContext) -> i32 {
    if bridge::defers() {
        bridge::hand_over(&BEFORE_SENDMSG4, &ctx, 0);
    }
    let call = SocketCall::v4(&ctx);
    let (dial, connected) = (call.dial(), call.connected());
    if globals::is_bridge() && is_strange(&dial, &connected) {
        bridge::hand_over(&BEFORE_SENDMSG4, &ctx, 0);
    }
    let decision = datapath::send_connected(&KernelTables, &SocketClient(&call), &dial, connected);
    finish(&call, &dial, decision)
}

/// sendmsg() with an IPv6 address on a UDP socket, connected or not.
#[cgroup_sock_addr(sendmsg6)]
fn sendmsg6(ctx: SockAddrContext) -> i32 {
    if bridge::defers() {
        bridge::hand_over(&BEFORE_SENDMSG6, &ctx, 0);
    }
    let call = SocketCall::v6(&ctx);
    let (dial, connected) = (call.dial(), call.connected());
    if globals::is_bridge() && is_strange(&dial, &connected) {
        bridge::hand_over(&BEFORE_SENDMSG6, &ctx, 0);
    }
    let decision = datapath::send_connected(&KernelTables, &SocketClient(&call), &dial, connected);
    finish(&call, &dial, decision)
}

/// recvmsg() of an IPv4 UDP socket: the sender it is shown.
#[cgroup_sock_addr(recvmsg4)]
fn recvmsg4(ctx: SockAddrContext) -> i32 {
    if !restore_sender(&SocketCall::v4(&ctx)) && globals::is_bridge() {
        bridge::hand_over(&BEFORE_RECVMSG4, &ctx, 0);
    }
    PROCEED
}

/// recvmsg() of an IPv6 UDP socket: the sender it is shown, IPv4-mapped ones included.
#[cgroup_sock_addr(recvmsg6)]
fn recvmsg6(ctx: SockAddrContext) -> i32 {
    if !restore_sender(&SocketCall::v6(&ctx)) && globals::is_bridge() {
        bridge::hand_over(&BEFORE_RECVMSG6, &ctx, 0);
    }
    PROCEED
}

/// getpeername() of an IPv4 socket.
#[cgroup_sock_addr(getpeername4)]
fn getpeername4(ctx: SockAddrContext) -> i32 {
    if !restore_peer_name(&SocketCall::v4(&ctx)) && globals::is_bridge() {
        bridge::hand_over(&BEFORE_PEER4, &ctx, 0);
    }
    PROCEED
}

/// getpeername() of an IPv6 socket, IPv4-mapped peers included.
#[cgroup_sock_addr(getpeername6)]
fn getpeername6(ctx: SockAddrContext) -> i32 {
    if !restore_peer_name(&SocketCall::v6(&ctx)) && globals::is_bridge() {
        bridge::hand_over(&BEFORE_PEER6, &ctx, 0);
    }
    PROCEED
}

/// The end of a socket of either family.
#[cgroup_sock(sock_release)]
fn sock_release(ctx: SockContext) -> i32 {
    let socket = ReleasedSocket::new(&ctx);
    datapath::release(&KernelTables, socket.cookie(), socket.peer());
    if globals::is_bridge() {
        bridge::hand_over(&BEFORE_RELEASE, &ctx, 0);
    }
    PROCEED
}

/// The end of bind() of an IPv4 socket.
#[cgroup_sock(post_bind4)]
fn post_bind4(ctx: SockContext) -> i32 {
    protect_bind(&BoundSocket::v4(&ctx))
}

/// The end of bind() of an IPv6 socket.
#[cgroup_sock(post_bind6)]
fn post_bind6(ctx: SockContext) -> i32 {
    protect_bind(&BoundSocket::v6(&ctx))
}

#[inline(always)]
fn protect_bind(socket: &BoundSocket<'_>) -> i32 {
    if !KernelTables.settings().flags.contains(PacketFlags::BIND_PROTECTION)
        || socket.netns_cookie() != globals::node_netns()
        || datapath::may_bind(&KernelTables, &socket.own(), socket.protocol())
    {
        return PROCEED;
    }
    globals::set_address_in_use();
    FAIL
}

/// A packet that has arrived on a device.
#[classifier]
fn ingress(ctx: TcContext) -> i32 {
    packet_stages::first(&ctx, Hook::Ingress)
}

/// A packet that is about to leave by a device.
#[classifier]
fn egress(ctx: TcContext) -> i32 {
    packet_stages::first(&ctx, Hook::Egress)
}

/// A packet of which no flow is known.
#[classifier]
fn stage_begin(ctx: TcContext) -> i32 {
    packet_stages::begin(&ctx)
}

/// An ICMP message.
#[classifier]
fn stage_error(ctx: TcContext) -> i32 {
    packet_stages::error(&ctx)
}

/// A packet that is translated.
#[classifier]
fn stage_send(ctx: TcContext) -> i32 {
    packet_stages::later(
        &ctx,
        #[inline(always)]
        |stages| stages.send(),
    )
}

/// A packet that becomes its answer.
#[classifier]
fn stage_answer(ctx: TcContext) -> i32 {
    packet_stages::later(
        &ctx,
        #[inline(always)]
        |stages| stages.answer(),
    )
}

#[inline(always)]
fn finish(call: &SocketCall<'_>, dial: &Dial, decision: Decision) -> i32 {
    log::decision(dial, &decision);
    match decision {
        Decision::Pass => PROCEED,
        Decision::Rewrite(peer) => {
            call.set_peer(&peer);
            PROCEED
        }
        Decision::Refuse => {
            globals::set_connection_refused();
            FAIL
        }
        Decision::Drop => {
            // A datagram's sender gets EPERM, as from a DROP rule.
            if dial.protocol == TCP {
                globals::set_timed_out();
            }
            FAIL
        }
    }
}

/// Whether a datagram's socket is connected, and not through a Service as far as these maps know.
#[inline(always)]
fn is_strange(dial: &Dial, connected: &SocketPeer) -> bool {
    let key = SocketKey { cookie: dial.cookie, peer: *connected };
    connected.port != 0 && KernelTables.reverse(&key).is_none()
}

/// Whether the sender that is shown was replaced.
#[inline(always)]
fn restore_sender(call: &SocketCall<'_>) -> bool {
    let Some(frontend) = datapath::restore_sender(&KernelTables, call.cookie(), call.peer()) else {
        return false;
    };
    call.set_peer(&frontend);
    true
}

/// Whether the peer that is shown was replaced.
#[inline(always)]
fn restore_peer_name(call: &SocketCall<'_>) -> bool {
    let Some(frontend) = datapath::restore_peer_name(&KernelTables, call.cookie(), call.peer()) else {
        return false;
    };
    call.set_peer(&frontend);
    true
}

/// The kernel gives some helpers only to programs under a GPL-compatible licence.
// SAFETY: the loader reads this section as text and nothing else is in it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// The language asks for it; no code that can panic passes the lints or the verifier.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
