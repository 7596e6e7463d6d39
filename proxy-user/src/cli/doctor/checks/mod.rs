//! The checks, in the order of the page: each is shown after what it rests on.

mod agent;
mod cgroup_path;
mod devices;
mod faults;
mod kernel;
mod others;
mod pins;
mod room;
mod services;
mod sockets;
mod sysctls;
mod tables;

pub use agent::agent;
pub use cgroup_path::served;
pub use devices::devices;
pub use kernel::kernel;
pub use others::others;
pub use pins::{is_on_bpffs, pins};
pub use room::room;
pub use services::{Differences, services};
pub use sockets::sockets;
pub use sysctls::sysctls;
pub use tables::{Contradictions, tables};

/// The first few of a list, and how many more there are.
pub fn some<T: std::fmt::Display>(all: &[T]) -> String {
    const NAMED: usize = 10;
    let named = all.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match all.len().checked_sub(NAMED) {
        None | Some(0) => named,
        Some(more) => format!("{named} and {more} more"),
    }
}
