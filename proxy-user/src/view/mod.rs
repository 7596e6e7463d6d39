//! What the maps hold, decoded: one entry per service port and family. `plan` shows the maps in
//! memory and `dump` those of the kernel by the same code, so a diff of the two shows drift.

mod decode;
mod frontend;
mod health_check;
mod port;
mod prefix;

pub use decode::{decode, decode_node};
pub(crate) use decode::{endpoints, port_id, source_ranges};
pub(crate) use frontend::KeyParts;
pub use frontend::{FrontendKind, FrontendView};
pub use health_check::{HealthCheckView, health_checks};
pub use port::PortView;
pub(crate) use prefix::net;
