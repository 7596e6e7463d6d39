//! From endpoint sets to map operations: indices, slots, generations, and the smallest difference.
//!
//! The table knows what the kernel holds. [`Table::upsert`] and [`Table::remove`] turn what a
//! service port should be into stores; [`Table::settle`] turns the claims on frontends into puts
//! and deletes; the caller carries the [`Plan`] out and says with [`Table::settled`] what the
//! kernel accepted. Nothing here does I/O, reads a clock or draws a random number.
//!
//! What makes it safe for programs that run meanwhile:
//! * a backend is filled before a slot names it, and a slot is written before a set counts it;
//! * a removed endpoint leaves the set first, then its backend gets the next generation;
//! * a freed index or range is quarantined, and reused only after [`Table::release`], which the
//!   caller calls after a grace period.

mod adopt;
mod buddy;
mod change;
mod claims;
mod demand;
mod found;
mod node;
mod plan;
mod pool;
mod port;
mod prefixes;
mod quarantine;
mod sets;
mod spec;
mod state;
mod upsert;

pub use adopt::Adopted;
pub(crate) use adopt::{node_text, parse_name, parse_node};
pub use claims::Conflict;
pub(crate) use demand::Demand;
pub use plan::{Plan, Progress};
pub(crate) use spec::prefix_of;
pub use spec::{Frontend, Full, Member, Membership, PortSpec, SourceRange, WhenFull};
pub use state::{PortHandle, Table, Usage};
