//! The edge between the table and whatever holds the maps: a plan's operations as data, the trait
//! that carries them out, and the trait that reads them back. The kernel ([`crate::kernel`]) and
//! the in-memory maps ([`MemoryMaps`]) implement both.

mod capacity;
mod op;
mod traits;

pub use capacity::Capacities;
pub use op::{FrontendKey, Store};
pub use traits::{MapReader, Name, WriteError, Writer};
