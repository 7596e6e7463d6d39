//! One line per decision through aya-log, for a developer's own build: `cargo xtask build-ebpf --log
//! PATH`. The loader picks the level by the global AYA_LOG_LEVEL (0 for none, 3 for what is refused,
//! 4 for every decision), and needs a kernel with ring buffers (Linux 5.8).
//!
//! The committed object has none of it, measured on Linux 6.18 at level 0, where the verifier drops
//! the branches that log: connect4 still grows from 623 to 667 instructions and sendmsg4 from 785 to
//! 1,107, because what a line would print is kept alive across the decision. And aya-log defines its
//! ring buffer the old way, which libbpf, so bpftool too, refuses. What production sees is COUNTERS.

use proxy_common::datapath::{Decision, Dial};

/// Without the feature `log`: nothing.
#[cfg(not(feature = "log"))]
#[inline(always)]
pub fn decision(_: &Dial, _: &Decision) {}

/// Says what becomes of a call to a Service.
#[cfg(feature = "log")]
#[inline(always)]
pub fn decision(dial: &Dial, decision: &Decision) {
    use aya_log_ebpf::{debug, info};

    let (cookie, peer) = (dial.cookie, &dial.peer);
    match decision {
        Decision::Pass => {}
        Decision::Rewrite(backend) => {
            debug!(
                (),
                "socket {}: {:i} port {} goes to {:i} port {}",
                cookie,
                octets(&peer.address),
                u16::from_be(peer.port),
                octets(&backend.address),
                u16::from_be(backend.port)
            );
        }
        Decision::Refuse | Decision::Drop => {
            info!(
                (),
                "socket {}: {:i} port {} is refused",
                cookie,
                octets(&peer.address),
                u16::from_be(peer.port)
            );
        }
    }
}

/// The address as aya-log takes it; by words, because a loop over bytes costs instructions.
#[cfg(feature = "log")]
#[inline(always)]
fn octets(address: &proxy_common::abi::Address) -> [u8; 16] {
    let [a, b, c, d] = address.words.map(u32::to_ne_bytes);
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a, b);
    let ([c0, c1, c2, c3], [d0, d1, d2, d3]) = (c, d);
    [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3]
}
