//! What the other commands need from the system, and how it gets there on Debian.

use crate::command;
use anyhow::{Context as _, Result, bail};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Stdio},
};

/// Debian's Rust with its library's source, and the LLVM that bpf-linker links. Its cargo and rustc
/// go together and never with rustup's.
pub const BPF_PACKAGES: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "llvm-22",
    "llvm-22-dev",
    "libpolly-22-dev",
    "g++",
    "zlib1g-dev",
];

/// The version that built the committed object; its LLVM must be at least rustc's.
pub const BPF_LINKER: &str = "0.13.0";

/// Real servers and clients that the tests in network namespaces run, promtool and Prometheus, and who counts system
/// calls.
pub const TEST_PACKAGES: &[&str] = &[
    "nginx-light",
    "curl",
    "dnsmasq-base",
    "bind9-dnsutils",
    "containernetworking-plugins",
    "nftables",
    "iptables",
    "ipset",
    "prometheus",
    "bpftool",
    "libfaketime",
    "strace",
];

/// What `cargo xtask kernels` boots with.
pub const KERNEL_PACKAGES: &[&str] = &[
    "qemu-system-x86",
    "xz-utils",
    "zstd",
    "binutils",
    "containernetworking-plugins",
    "iptables",
    "nftables",
    "iproute2",
];

/// True for uid 0.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The packages that dpkg does not have; none where there is no dpkg.
pub fn missing(packages: &[&'static str]) -> Vec<&'static str> {
    if !Path::new("/usr/bin/dpkg-query").exists() {
        return Vec::new();
    }
    let installed = |package: &str| {
        command::output(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
            .is_ok_and(|status| status == "installed")
    };
    packages.iter().copied().filter(|package| !installed(package)).collect()
}

/// Installs Debian packages without asking, and without starting the services in them.
///
/// # Errors
/// Not root, no apt-get, or a package that the machine's sources do not have.
pub fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!("missing Debian packages, which only root can install: apt-get install {}", packages.join(" "));
    }
    eprintln!("installing {}", packages.join(" "));
    let _no_services = NoServices::new()?;
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null()).arg("-q");
        apt
    };
    command::run(apt().arg("update"))?;
    command::run(apt().args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// Installs bpf-linker with cargo, against Debian's LLVM.
///
/// # Errors
/// The build failed.
pub fn install_bpf_linker() -> Result<()> {
    eprintln!("building bpf-linker {BPF_LINKER}");
    command::run(
        Command::new("cargo")
            .env("LLVM_PREFIX", "/usr/lib/llvm-22")
            .args(["install", "--quiet", "--locked", "bpf-linker", "--version", BPF_LINKER])
            .args(["--no-default-features", "--features", "llvm-22"]),
    )
}

/// While it lives, packages start no services: nginx would listen on port 80 of the machine.
struct NoServices(Option<&'static Path>);

impl NoServices {
    fn new() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self(None));
        }
        // 101: "action forbidden by policy", invoke-rc.d(8).
        fs::write(policy, "#!/bin/sh\nexit 101\n").with_context(|| format!("write({})", policy.display()))?;
        let guard = Self(Some(policy));
        fs::set_permissions(policy, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("chmod({})", policy.display()))?;
        Ok(guard)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.0
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("remove({}): {error}", policy.display());
        }
    }
}
