//! From this layout of maps to another one and back: `shunt run` of this source, and of the version with other keys and
//! values that `cargo xtask other-layout` makes of it. Connections that are open, silent or not, and what clients are
//! remembered by go along; where the newcomer fails, what was there before goes on.
//!
//! What becomes of connections that are made meanwhile is in `faults/upgraded.rs`. Needs root; without the other version
//! only what goes from this layout to itself is tested.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

#[path = "../command/mod.rs"]
mod command;
mod failed;
mod held;
mod pinned;
mod stage;
mod taken_over;
