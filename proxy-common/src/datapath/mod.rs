//! The decisions of the datapath as ordinary Rust, generic over [`Tables`] and [`Client`]: the kernel's maps
//! and sockets in the programs, plain collections in tests. Nothing here loops over backends.
//!
//! A new connection goes [`find_frontend`] → [`admit`] → [`applicable_set`] → [`pick_backend`]; [`route`] is
//! the first three.

mod bind;
mod client;
mod lookup;
mod pick;
mod route;
mod socket;
mod tables;
mod trace;

pub use bind::may_bind;
pub use client::{Client, Origin, PacketClient};
pub use lookup::{Lookup, find_address, find_frontend, has_node_port, is_cluster_ip};
pub use pick::{live, pick_backend};
pub use route::{Admitted, Reason, Route, Verdict, admit, applicable_set, route};
pub use socket::{Decision, Dial, connect, release, restore_peer_name, restore_sender, send, send_connected};
pub use tables::{Full, SECOND, Tables};
