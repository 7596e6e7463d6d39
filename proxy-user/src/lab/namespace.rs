//! Anonymous network namespaces: kept alive by a file descriptor, gone with the last one.

use super::{LabError, Place, netlink, settle, sys};
use std::{
    fmt,
    fs::{self, File},
    net::IpAddr,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    process::Command,
    sync::Arc,
    thread,
};

/// See [`Namespace::new`].
const SETTINGS: [(&str, &str); 8] = [
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/all/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/tcp_max_tw_buckets", "0"),
    ("net/ipv4/ping_group_range", "0 0"),
];

/// A network namespace with `lo` up and no route out. It has no name in the file system; the kernel
/// removes it, its devices and its routes soon after this value, every socket and every process in
/// it are gone.
#[derive(Debug)]
pub struct Namespace {
    label: String,
    fd: Arc<OwnedFd>,
}

impl Namespace {
    /// Makes a namespace. The label stands in errors only.
    ///
    /// What tests trip over is off, whatever the host's settings are (new namespaces copy some of them,
    /// net.core.devconf_inherit_init_net): IPv6 duplicate address detection, router advertisements,
    /// reverse path filtering, and TCP's TIME_WAIT, which would answer a client that comes back on
    /// the same port in the name of a server that is no more. Root may have the sockets of [`super::ping`].
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or where the kernel has no IPv6.
    pub fn new(label: &str) -> Result<Self, LabError> {
        let namespace = Self::bare(label)?;
        namespace.set_sysctls(&SETTINGS)?;
        Ok(namespace)
    }

    /// Makes a namespace with the kernel's own settings: for where /proc/sys cannot be written, as in most containers.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN.
    pub fn bare(label: &str) -> Result<Self, LabError> {
        let fail = |call| move |error| LabError::new(call, label, error);
        let fd = thread::scope(|scope| {
            let thread = thread::Builder::new().name("lab-unshare".to_owned()).spawn_scoped(scope, || {
                sys::unshare_network().map_err(fail("unshare"))?;
                File::open("/proc/thread-self/ns/net").map_err(fail("open /proc/thread-self/ns/net"))
            });
            let made = thread.map_err(fail("clone"))?.join();
            made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let namespace = Self { label: label.to_owned(), fd: Arc::new(fd.into()) };
        namespace.set_up("lo")?;
        Ok(namespace)
    }

    /// What it was called in [`Namespace::new`].
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The inode number of the namespace: N in the `net:[N]` that `/proc/<pid>/ns/net` points to.
    ///
    /// # Errors
    /// If fstat(2) fails.
    pub fn inode(&self) -> Result<u64, LabError> {
        let file = self.fd.try_clone().map(File::from);
        let metadata = file.and_then(|file| file.metadata());
        metadata.map(|metadata| metadata.ino()).map_err(|error| LabError::new("fstat", &self.label, error))
    }

    pub(super) fn place(&self) -> Place {
        Place::of_namespace(Arc::clone(&self.fd))
    }

    /// Runs `work` on a fresh thread inside and returns its value. A panic goes on in the caller.
    ///
    /// # Errors
    /// If the thread cannot be made or cannot enter; `work` has not run then.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        self.place().run(work).map_err(|error| LabError { object: self.label.clone(), ..error })
    }

    /// Lets an external program run inside. Only the network changes: it sees the same files.
    pub fn enter_command(&self, command: &mut Command) {
        self.place().enter_command(command);
    }

    /// Writes a sysctl of this namespace; `name` is the path below `/proc/sys`, such as
    /// `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// If there is no such sysctl or it does not take the value.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<(), LabError> {
        self.set_sysctls(&[(name, value)])
    }

    /// Writes several, in their order.
    pub(super) fn set_sysctls(&self, settings: &[(&str, &str)]) -> Result<(), LabError> {
        // /proc/sys/net shows the namespace of the thread that looks a name up.
        let written = self.run(|| {
            settings.iter().find_map(|(name, value)| {
                let error = fs::write(Path::new("/proc/sys").join(name), value).err()?;
                Some(LabError::new("write", format_args!("{}, sysctl {name}", self.label), error))
            })
        })?;
        written.map_or(Ok(()), Err)
    }

    /// Lets it forward packets of both families between its devices.
    ///
    /// # Errors
    /// See [`Namespace::set_sysctl`].
    pub fn forward(&self) -> Result<(), LabError> {
        self.set_sysctls(&[("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1")])
    }

    /// Brings a device up.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn set_up(&self, device: &str) -> Result<(), LabError> {
        netlink::set_up(self, device)
    }

    /// Adds an address to a device and brings the device up. On return it answers to the address.
    ///
    /// # Errors
    /// If there is no such device or it has the address already.
    pub fn add_address(&self, device: &str, address: IpAddr, prefix: u8) -> Result<(), LabError> {
        netlink::set_up(self, device)?;
        netlink::add_address(self, device, address, prefix)?;
        match address {
            IpAddr::V4(_) => Ok(()),
            IpAddr::V6(address) => settle::answers_to(self, device, address),
        }
    }

    /// Removes an address from a device.
    ///
    /// # Errors
    /// If there is no such device or it does not have the address.
    pub fn remove_address(&self, device: &str, address: IpAddr, prefix: u8) -> Result<(), LabError> {
        netlink::remove_address(self, device, address, prefix)
    }

    /// Adds a route through a device that is up: to neighbours on the link, or through a gateway. The
    /// gateway need not be in a network of the device (the route is "onlink").
    ///
    /// # Errors
    /// If there is no such device, it is down, or the route is there already.
    pub fn add_route(
        &self,
        destination: IpAddr,
        prefix: u8,
        gateway: Option<IpAddr>,
        device: &str,
    ) -> Result<(), LabError> {
        netlink::add_route(self, destination, prefix, gateway, device)
    }

    /// Joins two namespaces by a veth pair, both ends up and carrying packets on return.
    ///
    /// # Errors
    /// If a device of that name is there already.
    pub fn connect(&self, device: &str, peer: &Self, peer_device: &str) -> Result<(), LabError> {
        netlink::add_veth(self, device, peer, peer_device)?;
        self.set_up_pair(device, peer, peer_device)
    }

    /// Brings both ends of a veth pair up, and waits until they carry packets.
    pub(super) fn set_up_pair(&self, device: &str, peer: &Self, peer_device: &str) -> Result<(), LabError> {
        self.set_up(device)?;
        peer.set_up(peer_device)?;
        settle::is_running(self, device)?;
        settle::is_running(peer, peer_device)
    }

    /// Removes a device, and with a veth its other end.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn remove_device(&self, device: &str) -> Result<(), LabError> {
        netlink::remove_device(self, device)
    }

    /// The index of a device, as programs are attached to it.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn device_index(&self, device: &str) -> Result<u32, LabError> {
        self.run(|| netlink::device_index(device))?
            .map_err(|error| LabError::new("SIOCGIFINDEX", format_args!("{} {device}", self.label), error))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
