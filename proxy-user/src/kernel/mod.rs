//! Everything that touches bpf(2): carries out plans in the kernel's maps and keeps the programs
//! attached. The last place in the line of the crate's documentation, and the only one with I/O.
//!
//! ```no_run
//! use shunt::engine::{Engine, Rules};
//! use shunt::kernel::{Kernel, Options};
//!
//! // Adopts what is pinned, attaches at once, and writes only after the first complete list.
//! let (maps, mut programs) = Kernel::open(&Options::default())?.split();
//! let mut engine = Engine::new("node-a", Rules::default(), maps)?;
//! programs.attach()?;
//! engine.sync()?;
//! programs.remove_other_versions()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod attach;
mod bpffs;
mod capabilities;
mod cgroup;
mod cleanup;
mod collector;
mod entries;
mod error;
mod features;
mod grace;
mod handle;
pub mod layout;
mod leftovers;
mod loader;
mod lock;
mod machine;
mod maps;
mod object;
mod packets;
mod pinned;
mod programs;
mod remembered;
mod shape;
mod stale;
mod stats;
pub mod sys;
mod transition;
mod watch;
pub mod watchman;
mod wire;

pub use attach::{Attached, Attachment, PROGRAMS, ProgramName};
pub use bpffs::ensure as mount_bpffs;
pub use capabilities::raise as raise_capabilities;
pub use cgroup::{Cgroup, mount_point as cgroup2_mount_point};
pub use cleanup::{OwnTrace, find as find_own, foreign, remove, remove_all};
pub use collector::{Collected, Collector};
pub use error::KernelError;
pub use features::{Features, OLDEST as OLDEST_KERNEL, probe as probe_features};
pub use handle::{Kernel, Options};
pub use leftovers::{
    Family, KUBE_PROXY_PORTS, Leftover, Leftovers, LeftoversError, Remark, Removal, RemovalError, Tool,
    Trace, find_kube_proxy, kube_proxy, kube_proxy_processes, legacy_lock, remove_kube_proxy,
};
pub use lock::{Holder, LockState, lock_state};
pub use machine::Machine;
pub use maps::KernelMaps;
pub use object::{MAPS, MapName};
pub use packets::{AttachedBy, DeviceAttachment, PacketPrograms};
pub use pinned::PinnedMaps;
pub use programs::Programs;
pub use remembered::RememberedCount;
pub use shape::MapShape;
pub use stale::{Closed, close_stale_sockets};
pub use transition::{After, Step};
pub use watch::{LEASE, Watcher};
