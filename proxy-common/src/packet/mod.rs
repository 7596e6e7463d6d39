//! The packet path: traffic from outside, and that of workloads whose sockets the host kernel does not see.
//! Ordinary Rust, generic over [`Packet`] and [`PacketTables`]: the kernel's in the programs, plain ones in tests.
//!
//! A packet goes through [`stages`]: [`arrive`] → its flow's entry ([`flow`]), or a new one ([`new_flow`]) →
//! [`rewrite`]. What is refused is answered by [`answer`]; ICMP errors go with the flow that they are about ([`error`]).

mod answer;
mod arrive;
mod checksum;
pub mod crc32c;
mod error;
mod flow;
mod hash;
mod headers;
mod new_flow;
mod ports;
mod rewrite;
mod stages;
mod tables;
mod trace;
mod traits;
mod work;

pub use flow::FlowTouch;
pub use stages::{Next, Plain, Stages, action, run, translate};
pub use tables::{InsertError, PacketTables, Unknown};
pub use traits::{Action, Fix, Hook, NextHop, Packet, Sum};
pub use work::Work;
