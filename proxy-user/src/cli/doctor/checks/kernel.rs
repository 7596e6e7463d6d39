//! The kernel: its release, and what of newer kernels it has.

use crate::{
    cli::doctor::finding::{Check, State},
    kernel::{KernelError, OLDEST_KERNEL, probe_features, sys},
};
use aya_obj::generated::bpf_attach_type::BPF_TCX_INGRESS;
use std::{fs, path::Path};

/// The index of `lo`, in every network namespace.
const LOOPBACK: u32 = 1;

/// Looks at the kernel.
pub fn kernel() -> Check {
    let mut check = Check::new("kernel");
    let uname = rustix::system::uname();
    let (release, machine) = (uname.release().to_string_lossy(), uname.machine().to_string_lossy());
    check.see(format!("Linux {release}, {machine}"));
    check.fact("release", release.as_ref());
    check.fact("machine", machine.as_ref());
    match probe_features() {
        Ok(features) => {
            let tcx = has_tcx();
            for (name, has, with, without) in [
                ("set_retval", features.set_retval, "refusals are ECONNREFUSED", "refusals are EPERM"),
                (
                    "netns_cookie",
                    features.netns_cookie.is_some(),
                    "the agent's network namespace is the node's",
                    "the initial network namespace is the node's",
                ),
                ("tcx", tcx, "packet programs by tcx", "packet programs by clsact"),
            ] {
                check.see(format!("{name} {}: {}", yes(has), if has { with } else { without }));
                check.fact(name, has);
            }
        }
        Err(error @ KernelError::KernelTooOld { .. }) => check.find(
            (State::Critical, "kernel-too-old"),
            error.to_string(),
            "the programs do not load",
            format!("boot Linux {OLDEST_KERNEL} or later"),
        ),
        Err(error) => check.unseen("kernel-features", "what the kernel has", &error),
    }
    let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
    let jit = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").map(|text| text.trim() != "0");
    check.see(format!("BTF {}, JIT {}", yes(btf), jit.as_ref().map_or("unknown", |jit| yes(*jit))));
    check.fact("btf", btf);
    check.fact("jit", jit.as_ref().ok().copied());
    if matches!(jit, Ok(false)) {
        check.find(
            (State::Notice, "jit-off"),
            "net.core.bpf_jit_enable is 0",
            "programs are interpreted: each connection and packet takes several times as long",
            "sysctl -w net.core.bpf_jit_enable=1",
        );
    }
    check
}

const fn yes(has: bool) -> &'static str {
    if has { "yes" } else { "no" }
}

/// Whether the kernel knows tcx: tried, not guessed by its version.
fn has_tcx() -> bool {
    !matches!(sys::tcx_links(LOOPBACK, BPF_TCX_INGRESS), Err(error) if error.raw_os_error() == Some(libc::EINVAL))
}
