//! The packet programs on devices: attached by tcx (Linux 6.6) or, where the kernel has none, by filters of a
//! clsact qdisc.
//!
//! tcx links are pinned under `links/`, as `ingress-<index>` and `egress-<index>`. Filters live in their qdisc and
//! cannot be pinned; ours are known by their name, which is the path of the pin that they would have. Either
//! outlives the agent, and both are replaced in place by the next one. What others have attached to the device stays
//! untouched; our programs run before it.

mod attached;
mod clsact;
mod hook;
mod programs;
mod tcx;

pub use attached::{AttachedBy, DeviceAttachment};
pub use programs::PacketPrograms;

pub(super) use attached::{attached, running};
pub(super) use clsact::{clear, filters, name as filter_name, programs as filtering};
pub(super) use hook::PacketHook;
