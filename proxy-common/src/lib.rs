//! What the eBPF programs and userspace share: the layout of every map ([`abi`]), the decisions
//! of the datapath ([`datapath`]) and the translation of packets ([`packet`]). `no_std`, no `unsafe`; the function that the kernel's verifier
//! accepts is the function that a unit test runs.
#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
pub mod datapath;
pub mod packet;
