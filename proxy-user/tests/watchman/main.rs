//! The watchman: what others have detached, removed, unmounted or put in the way, by bpftool, tc, rm and umount. Needs root;
//! see `kernel_lab` for what it touches.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod clients;
mod devices;
mod findings;
mod grown;
#[path = "../kernel_lab/mod.rs"]
mod kernel_lab;
mod pins;
mod recovered;
mod sockets;

use kernel_lab::Lab;
use proxy_common::abi::ABI_VERSION;
use shunt::kernel::Kernel;
use shunt::kernel::watchman::{Fault, Finding, Round};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

/// No device is to be attached to.
fn watch(kernel: &mut Kernel) -> Round {
    kernel.watch(&BTreeMap::new())
}

/// Where and what, in order of the alphabet.
fn faults(findings: &[Finding]) -> BTreeSet<(&'static str, Fault)> {
    findings.iter().map(|finding| (finding.hook.name, finding.fault)).collect()
}

#[track_caller]
fn assert_quiet(round: &Round) {
    assert!(round.restored.is_empty() && round.found.is_empty() && round.lost.is_none(), "{round:#?}");
}

fn maps(lab: &Lab) -> PathBuf {
    lab.pin_path().join(format!("v{ABI_VERSION}/maps"))
}

fn links(lab: &Lab) -> PathBuf {
    lab.pin_path().join(format!("v{ABI_VERSION}/links"))
}

/// Runs a command that must succeed, in this thread's namespaces.
#[track_caller]
fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().expect(program);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
