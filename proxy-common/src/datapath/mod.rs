//! The decisions of the datapath as ordinary Rust, generic over [`Tables`]: the kernel's maps in
//! the programs, plain collections in tests. Nothing here loops over backends.

mod lookup;
mod socket;
mod tables;

pub use lookup::{Lookup, Refusal, find_frontend, pick_backend};
pub use socket::{Decision, Dial, connect, release, restore_peer_name, restore_sender, send, send_connected};
pub use tables::{Full, Tables};
