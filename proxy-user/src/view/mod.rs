//! What the maps hold, decoded: one entry per service port and family. `plan` shows the maps in
//! memory and `dump` those of the kernel by the same code, so a diff of the two shows drift.

mod decision;
mod decode;
mod frontend;
mod health_check;
mod owners;
mod port;
mod prefix;
mod service_name;

pub use decision::{DecisionView, Ends};
pub use decode::{decode, decode_node};
pub(crate) use decode::{endpoints, port_id, source_ranges};
pub(crate) use frontend::KeyParts;
pub use frontend::{FrontendKind, FrontendView};
pub use health_check::{HealthCheckView, health_checks};
pub use owners::Owners;
pub use port::PortView;
pub(crate) use prefix::net;
pub use service_name::ServiceName;
