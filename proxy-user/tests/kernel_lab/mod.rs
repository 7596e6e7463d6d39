//! What a test against the real kernel stands in: a bpffs of its own, a child cgroup of its own,
//! and threads in network namespaces that have no way out.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use proxy_common::abi::{
    Address, BackendEntry, BackendRef, FrontendFlags, FrontendKey4, FrontendKey6, FrontendValue, Scope,
};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::thread::{UnshareFlags, gettid};
use shunt::kernel::{Kernel, Options, cgroup2_mount_point, remove};
use shunt::writer::{Capacities, FrontendKey};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Tests count bpf(2) calls of the whole process, so they run one at a time.
static ALONE: Mutex<()> = Mutex::new(());

pub struct Lab {
    bpffs: TempDir,
    cgroups: Vec<PathBuf>,
    _alone: MutexGuard<'static, ()>,
}

impl Lab {
    /// `None`, with the reason printed, where SHUNT_SKIP_LAB is set.
    pub fn new() -> Option<Self> {
        if std::env::var_os("SHUNT_SKIP_LAB").is_some() {
            eprintln!("skipped: SHUNT_SKIP_LAB is set, and this test needs root, bpf(2) and cgroup v2");
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let bpffs = TempDir::with_prefix("shunt-bpffs-").expect("temporary directory");
        mount("bpf", bpffs.path(), "bpf", MountFlags::empty(), None).expect("mount a bpffs");
        let mut lab = Self { bpffs, cgroups: Vec::new(), _alone: alone };
        lab.new_cgroup();
        Some(lab)
    }

    pub fn pin_path(&self) -> PathBuf {
        self.bpffs.path().join("shunt")
    }

    pub fn cgroup(&self) -> &Path {
        self.cgroups.last().expect("a cgroup")
    }

    /// Another child cgroup, which [`Self::cgroup`] gives from now on. It is threaded, so that a
    /// thread of the test can enter it alone.
    pub fn new_cgroup(&mut self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = cgroup2_mount_point().expect("cgroup v2 is mounted");
        let path = root.join(format!("shunt-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("child cgroup");
        self.cgroups.push(path);
        fs::write(self.cgroup().join("cgroup.type"), "threaded").expect("threaded cgroup");
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

    /// Runs `work` on a thread in the cgroup and in a network namespace with nothing but loopback.
    pub fn on_island<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    isolate(UnshareFlags::NEWNET);
                    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip");
                    assert!(status.success());
                    let _member = CgroupMember::enter(self.cgroup());
                    work()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let removed = remove(&self.pin_path());
        let unmounted = unmount(self.bpffs.path(), UnmountFlags::DETACH);
        for cgroup in &self.cgroups {
            remove_cgroup(cgroup);
        }
        if !std::thread::panicking() {
            removed.expect("pins removed");
            unmounted.expect("bpffs unmounted");
        }
    }
}

/// A thread that has just ended may still be counted.
pub fn remove_cgroup(path: &Path) {
    for _ in 0..100 {
        if fs::remove_dir(path).is_ok() || !path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!("{} could not be removed", path.display());
}

/// This thread is in a cgroup until this is dropped, panics included.
struct CgroupMember;

impl CgroupMember {
    fn enter(cgroup: &Path) -> Self {
        fs::write(cgroup.join("cgroup.threads"), gettid().as_raw_nonzero().to_string())
            .expect("enter cgroup");
        Self
    }
}

impl Drop for CgroupMember {
    fn drop(&mut self) {
        let threads = cgroup2_mount_point().expect("cgroup v2 is mounted").join("cgroup.threads");
        let _ = fs::write(threads, gettid().as_raw_nonzero().to_string());
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
    BackendEntry { address: ip.into(), port: port.to_be(), generation: 1, service, ..BackendEntry::default() }
}

pub fn slot(index: u32) -> BackendRef {
    BackendRef::new(index, 1)
}
