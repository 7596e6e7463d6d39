//! `shunt cleanup`: all that is Shunt's, and with `--kube-proxy` what a real kube-proxy left, beside what kubelet and CNI
//! plugins have in the same tables. Needs root, Debian's iptables, nftables, ipset and containernetworking-plugins, and for
//! the real one what `cargo xtask kube-tools` builds.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod by_hand;
#[path = "../command/mod.rs"]
mod command;
mod many;
mod node;
mod others;
mod own;
mod real;
mod refused;
