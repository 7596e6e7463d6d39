//! Names of devices.

use rustix::net::{AddressFamily, SocketType, netdevice::index_to_name, socket};
use std::{io, os::fd::OwnedFd};

/// Asks for the devices of the own network namespace: the agent's, where the two run side by side.
pub struct Devices(OwnedFd);

impl Devices {
    /// Opens a socket to ask by.
    ///
    /// # Errors
    /// Of socket(2).
    pub fn open() -> io::Result<Self> {
        Ok(Self(socket(AddressFamily::UNIX, SocketType::DGRAM, None)?))
    }

    /// The name of a device, or `#` and its index where it is none here.
    pub fn name(&self, index: u32) -> String {
        index_to_name(&self.0, index).unwrap_or_else(|_| format!("#{index}"))
    }
}
