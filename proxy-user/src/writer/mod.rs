//! The edge between the table and whatever holds the maps: a plan's operations as data, the trait
//! that carries them out, and the trait that reads them back. Implemented by the kernel's maps
//! ([`crate::kernel`]), by maps in memory, and by a writer that fails at random.

mod capacity;
mod faulty;
mod footprint;
mod limits;
mod memory;
mod op;
mod size;
mod traits;

pub use capacity::Capacities;
pub use faulty::FaultyWriter;
pub use footprint::{footprint, total as total_footprint};
pub use limits::{Fixed, Limits};
pub use memory::MemoryMaps;
pub use op::{FrontendKey, NODE_CELLS, PrefixKey, Store};
pub use size::Size;
pub use traits::{MapReader, Name, WriteError, Writer};
