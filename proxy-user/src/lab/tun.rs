//! Tun and tap devices: the kernel has one end of the wire, a file the other.

use super::{LabError, Namespace, sys};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

/// No packet of such a device is larger, in bytes: 16 bits tell its length, and Ethernet's header comes before.
pub(super) const LARGEST: usize = 65_535 + 18;

/// The file's end of a device. The device is gone when this value is dropped.
#[derive(Debug)]
pub(super) struct Tun {
    file: File,
}

impl Tun {
    /// Makes a device of packets without a link header, as WireGuard and IPIP have, and brings it up.
    pub fn packets(namespace: &Namespace, device: &str) -> Result<Self, LabError> {
        Self::make(namespace, device, libc::IFF_TUN)
    }

    /// Makes a device of Ethernet frames and brings it up.
    pub fn frames(namespace: &Namespace, device: &str) -> Result<Self, LabError> {
        Self::make(namespace, device, libc::IFF_TAP)
    }

    fn make(namespace: &Namespace, device: &str, kind: libc::c_int) -> Result<Self, LabError> {
        let fail = |call| move |error| LabError::new(call, format_args!("{namespace} {device}"), error);
        // The device appears in the namespace of the thread that opens the file.
        let file = namespace.run(|| {
            let open = File::options().read(true).write(true).open("/dev/net/tun");
            let file = open.map_err(fail("open /dev/net/tun"))?;
            sys::attach_tun(&file, device, kind).map_err(fail("TUNSETIFF"))?;
            rustix::io::ioctl_fionbio(&file, true).map_err(io::Error::from).map_err(fail("FIONBIO"))?;
            Ok::<_, LabError>(file)
        })??;
        namespace.set_up(device)?;
        Ok(Self { file })
    }

    /// Hands the kernel a packet, as if it had come over the wire.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write(packet).map(|_| ())
    }

    /// What the kernel has sent, if it is there at once.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match (&self.file).read(buffer) {
            Ok(count) => Ok(Some(&buffer[..count])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until there is something to receive; false when time is up.
    pub fn wait(&self, limit: Duration) -> io::Result<bool> {
        let limit = Timespec::try_from(limit).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&limit)) {
            Ok(count) => Ok(count > 0),
            // The caller looks at the clock and comes again.
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
