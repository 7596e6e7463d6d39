//! The first process of the virtual machines that `cargo xtask kernels` boots. With nothing to run it says what
//! the verifier of the running kernel makes of each program of the eBPF object, one line each, and runs the tests that
//! `/steps` lists; else it loads the modules that lie in `/modules` and runs a program. Run by hand (`kernel-init OBJECT`), it loads the object on
//! the machine's own kernel.

mod child;
mod programs;
mod steps;

use anyhow::{Context as _, Result};
use rustix::{
    mount::{MountFlags, mount},
    system::{RebootCommand, init_module, reboot, uname},
};
use std::{
    fs,
    io::{self, Write as _},
    process,
};

/// Where the initial file system has the object, and modules in the order of their names.
const OBJECT: &str = "/shunt.bpf.o";
const MODULES: &str = "/modules";

fn main() -> Result<()> {
    // The kernel hands on what stood behind "--" on its command line.
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    println!("kernel {}", uname().release().to_string_lossy());
    if process::id() != 1 {
        return programs::report(first.as_deref().unwrap_or(OBJECT));
    }
    let result = prepare().and_then(|()| match first {
        None => programs::report(OBJECT).and_then(|()| match steps::are_there() {
            true => load_modules().and_then(|()| steps::run()),
            false => Ok(()),
        }),
        Some(program) => load_modules().and_then(|()| child::run(&program, arguments)),
    });
    match &result {
        Ok(()) => println!("kernel-init: ok"),
        Err(error) => println!("kernel-init: failed: {error:#}"),
    }
    let _ = io::stdout().flush();
    // The first process may not end: the kernel would panic.
    reboot(RebootCommand::PowerOff).context("reboot(POWER_OFF)")?;
    result
}

/// Mounts what every Linux system has.
fn prepare() -> Result<()> {
    for (kind, path) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("cgroup2", "/sys/fs/cgroup"),
        ("bpf", "/sys/fs/bpf"),
        ("tmpfs", "/tmp"),
        ("tmpfs", "/run"),
    ] {
        // Those in /sys are there already.
        fs::create_dir_all(path).with_context(|| format!("mkdir({path})"))?;
        mount(kind, path, kind, MountFlags::empty(), None).with_context(|| format!("mount({path})"))?;
    }
    Ok(())
}

fn load_modules() -> Result<()> {
    let reading = || format!("read_dir({MODULES})");
    let entries: Result<Vec<_>, _> = fs::read_dir(MODULES).with_context(reading)?.collect();
    let mut paths: Vec<_> = entries.with_context(reading)?.iter().map(fs::DirEntry::path).collect();
    paths.sort();
    for path in paths {
        let content = fs::read(&path).with_context(|| format!("read({})", path.display()))?;
        init_module(&content, c"").with_context(|| format!("init_module({})", path.display()))?;
    }
    Ok(())
}
