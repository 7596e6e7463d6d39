//! What the eBPF programs and userspace share: the layout of every map ([`abi`]) and the decisions
//! of the datapath ([`datapath`]). `no_std`, no `unsafe`; the function that the kernel's verifier
//! accepts is the function that a unit test runs.
#![no_std]
#![forbid(unsafe_code)]

pub mod abi;
pub mod datapath;
