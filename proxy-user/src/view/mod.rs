//! What the maps hold, decoded: one entry per service port and family. `plan` shows the maps in
//! memory and `dump` those of the kernel by the same code, so a diff of the two shows drift.

mod decode;
mod port;

pub use decode::{decode, decode_node};
pub use port::{FrontendKind, FrontendView, PortView};
