//! What a test against the real kernel stands in: a bpffs of its own, a child cgroup of its own,
//! and threads in network namespaces that have no way out.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use proxy_common::abi::{
    Address, BackendEntry, BackendFlags, BackendRef, FrontendFlags, FrontendKey4, FrontendKey6,
    FrontendValue, Scope,
};
use rustix::thread::UnshareFlags;
use shunt::kernel::{Kernel, Options, remove};
use shunt::lab::{Bpffs, Cgroup, Namespace, Place};
use shunt::writer::{Capacities, FrontendKey};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tests count bpf(2) calls of the whole process, so they run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

pub struct Lab {
    pub bpffs: Bpffs,
    cgroups: Vec<Cgroup>,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    /// `None`, with the reason printed, where no lab can be made.
    pub fn new() -> Option<Self> {
        if let Err(reason) = shunt::lab::available() {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lab = Self { bpffs: Bpffs::new().expect("a bpffs"), cgroups: Vec::new(), _alone: alone };
        lab.new_cgroup();
        Some(lab)
    }

    pub fn pin_path(&self) -> PathBuf {
        self.bpffs.path().join("shunt")
    }

    pub fn cgroup(&self) -> &Path {
        self.cgroups.last().expect("a cgroup").path()
    }

    /// Another child cgroup, which [`Self::cgroup`] gives from now on.
    pub fn new_cgroup(&mut self) {
        self.cgroups.push(Cgroup::new().expect("child cgroup"));
    }

    /// Removes the cgroup that [`Self::cgroup`] gives.
    pub fn remove_cgroup(&mut self) {
        self.cgroups.pop();
    }

    pub fn options(&self) -> Options {
        Options {
            cgroup: self.cgroup().to_owned(),
            pin_path: self.pin_path(),
            capacities: small(),
            ..Options::default()
        }
    }

    pub fn open(&self) -> Kernel {
        Kernel::open(&self.options()).expect("open")
    }

    /// The cgroup in a network namespace.
    pub fn place(&self, namespace: &Namespace) -> Place {
        self.cgroups.last().expect("a cgroup").at(namespace)
    }

    /// Runs `work` on a thread in the cgroup and in a network namespace with nothing but loopback.
    pub fn on_island<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let island = Namespace::new("island").expect("a network namespace");
        self.cgroups.last().expect("a cgroup").run_in(&island, work).expect("a thread on the island")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let removed = remove(&self.pin_path());
        if !std::thread::panicking() {
            removed.expect("pins removed");
        }
    }
}

/// Gives this thread namespaces of its own.
#[expect(deprecated, reason = "unsafe only for FILES, which is not asked for")]
pub fn isolate(namespaces: UnshareFlags) {
    rustix::thread::unshare(namespaces).expect("unshare");
}

pub fn small() -> Capacities {
    Capacities {
        frontends: 1_000,
        services: 64,
        slots: 1_024,
        backends: 512,
        name_cells: 256,
        sockets: 1_000,
        affinities: 1_000,
        flows: 1_024,
        prefixes: 1_000,
    }
}

pub fn frontend(ip: &str, port: u16, protocol: u8) -> FrontendKey {
    let (port, scope) = (port.to_be(), Scope::Exact as u8);
    match ip.parse().expect("an IP address") {
        IpAddr::V4(ip) => {
            FrontendKey::V4(FrontendKey4 { address: u32::from(ip).to_be(), port, protocol, scope })
        }
        IpAddr::V6(ip) => {
            FrontendKey::V6(FrontendKey6 { address: Address::from(ip).words, port, protocol, scope })
        }
    }
}

pub fn cluster_ip(service: u32) -> FrontendValue {
    FrontendValue::new(service, FrontendFlags::CLUSTER_IP, 0)
}

pub fn backend(ip: &str, port: u16, service: u32) -> BackendEntry {
    let ip: IpAddr = ip.parse().expect("an IP address");
    let flags = BackendFlags::LIVE.union(BackendFlags::IN_CLUSTER);
    let (address, port) = (ip.into(), port.to_be());
    BackendEntry { address, port, flags, generation: 1, service, ..BackendEntry::default() }
}

pub fn slot(index: u32) -> BackendRef {
    BackendRef::new(index, 1)
}
