//! The packet path: traffic from outside, and that of workloads whose sockets the host kernel does not see.
//! Ordinary Rust, generic over [`Packet`] and [`PacketTables`]: the kernel's in the programs, plain ones in tests.
//!
//! A packet goes [`translate`] → [`headers`] → its flow's entry, or a new flow ([`new_flow`]) → [`rewrite`].
//! What is refused is answered by [`answer`]; ICMP errors go with the flow that they are about ([`error`]).

mod answer;
mod checksum;
pub mod crc32c;
mod error;
mod flow;
mod hash;
mod headers;
mod new_flow;
mod ports;
mod rewrite;
mod tables;
mod trace;
mod traits;
mod translate;
mod work;

pub use flow::FlowTouch;
pub use tables::{InsertError, PacketTables};
pub use traits::{Action, Fix, Hook, NextHop, Packet, Sum};
pub use translate::translate;
pub use work::Work;
