//! The virtual machine: QEMU with a kernel, an initial file system, a serial console and nothing else.

use crate::command;
use anyhow::{Context as _, Result};
use std::{fs, path::Path, process::Command};

/// Longest run, seconds: without hardware virtualisation a boot alone takes half a minute, and the tests ten times what
/// they take on the machine itself.
const SECONDS: &str = "3600";

/// Boots a kernel and returns what was written to its console, a file that may be watched meanwhile. The first process gets `arguments`.
///
/// # Errors
/// Where QEMU cannot be run, or the machine has not switched itself off in time.
pub fn boot(kernel: &Path, initrd: &Path, console: &Path, arguments: &str) -> Result<String> {
    // /dev/kvm may exist in a guest that cannot use it; the CPU's flags tell.
    let flags = fs::read_to_string("/proc/cpuinfo").context("read(/proc/cpuinfo)")?;
    let hardware = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    let accelerator = if hardware && Path::new("/dev/kvm").exists() { "kvm:tcg" } else { "tcg" };
    let mut qemu = Command::new("timeout");
    qemu.args([SECONDS, "qemu-system-x86_64", "-machine"])
        .arg(format!("pc,accel={accelerator}"))
        .args([
            "-cpu", "max", "-m", "1536", "-smp", "2", "-nic", "none", "-display", "none", "-monitor", "none",
        ])
        .arg("-no-reboot")
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-append")
        // A host that is busy makes an emulated timer late, and the kernel give up on it.
        // What follows the two hyphens is left to the first process (kernel-parameters.rst).
        .arg(format!("console=ttyS0 panic=-1 quiet no_timer_check -- {arguments}"))
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd);
    command::output(&mut qemu)?;
    let bytes = fs::read(console).with_context(|| format!("read({})", console.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
