//! The watchman: compares what is attached and pinned with what the kernel says, restores what is missing, and names who
//! else is in the way.
//!
//! ```text
//! findings()            the look from outside, for `shunt doctor`: changes nothing
//! recover()             what a starting agent does before it adopts: pins that are missing or wrong
//! Programs::watch()     the agent's round, every few seconds: restores
//! ```

mod aside;
mod devices;
mod finding;
mod held;
mod look;
mod names;
mod order;
mod recover;
mod round;
mod sockets;

pub use finding::{Fault, Finding, Hook, Severity};
pub use look::findings;
pub use round::{DEVICES_PER_ROUND, Round};

pub(super) use aside::DIRECTORY as FOREIGN;
pub(super) use held::Held;
pub(super) use recover::recover;
pub(super) use round::Watchman;

use rustix::net::netdevice::index_to_name;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Name of a device of the calling thread's network namespace, for people.
fn device_name(index: u32) -> String {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let name = socket.and_then(|socket| index_to_name(&socket, index));
    name.unwrap_or_else(|_| format!("device {index}"))
}
