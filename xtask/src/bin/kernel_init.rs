//! Loads the eBPF object and says what the verifier of the running kernel made of each program, one
//! line each. `cargo xtask kernels` boots it as the only process of a virtual machine; run by hand
//! (`kernel-init OBJECT`), it answers for the machine's own kernel.

use anyhow::{Context as _, Result, bail};
use aya::{
    EbpfLoader,
    programs::{Program, ProgramInfo},
};
use rustix::{
    mount::{MountFlags, mount},
    system::{RebootCommand, reboot, uname},
};
use std::{fs, io::Write as _, process};

/// Where the initial file system of `cargo xtask kernels` has the object.
const OBJECT: &str = "/shunt.bpf.o";

fn main() -> Result<()> {
    if process::id() != 1 {
        let object = std::env::args().nth(1).unwrap_or_else(|| OBJECT.into());
        return report(&object);
    }
    let result = prepare().and_then(|()| report(OBJECT));
    match &result {
        Ok(()) => println!("kernel-init: ok"),
        Err(error) => println!("kernel-init: failed: {error:#}"),
    }
    let _ = std::io::stdout().flush();
    // The first process may not end: the kernel would panic.
    reboot(RebootCommand::PowerOff).context("reboot(POWER_OFF)")?;
    result
}

/// Mounts what aya reads to find out what the kernel can do.
fn prepare() -> Result<()> {
    for (kind, path) in [("proc", "/proc"), ("sysfs", "/sys")] {
        fs::create_dir_all(path).with_context(|| format!("mkdir({path})"))?;
        mount(kind, path, kind, MountFlags::empty(), None).with_context(|| format!("mount({path})"))?;
    }
    Ok(())
}

/// Loads every program, with and without bpf_set_retval.
fn report(object: &str) -> Result<()> {
    println!("kernel {}", uname().release().to_string_lossy());
    let data = fs::read(object).with_context(|| format!("read({object})"))?;
    load(&data, 0)?;
    // A kernel without the helper must refuse this one; userspace probes by trying.
    match load(&data, 1) {
        Ok(()) => println!("bpf_set_retval yes"),
        Err(error) => {
            let text = format!("{error:#}");
            // "unknown func bpf_set_retval#187", in newer kernels "program of this type cannot use helper …".
            let reason = text.lines().find(|line| line.contains("#187")).unwrap_or(&text);
            println!("bpf_set_retval no: {}", reason.trim());
        }
    }
    Ok(())
}

fn load(data: &[u8], has_set_retval: u8) -> Result<()> {
    let mut ebpf = EbpfLoader::new()
        .override_global("HAS_SET_RETVAL", &has_set_retval, true)
        .override_global("AYA_LOG_LEVEL", &0u8, false)
        .load(data)
        .context("EbpfLoader::load")?;
    let mut programs: Vec<_> =
        ebpf.programs_mut().map(|(name, program)| (name.to_owned(), program)).collect();
    programs.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, program) in programs {
        let info = match program {
            Program::CgroupSockAddr(program) => {
                program.load().with_context(|| format!("BPF_PROG_LOAD({name})"))?;
                program.info()
            }
            Program::CgroupSock(program) => {
                program.load().with_context(|| format!("BPF_PROG_LOAD({name})"))?;
                program.info()
            }
            _ => bail!("{name} is of a program type that kernel-init does not know"),
        };
        if has_set_retval == 0 {
            println!("program {name}: {}", size(&info.with_context(|| format!("BPF_OBJ_GET_INFO({name})"))?));
        }
    }
    Ok(())
}

/// Instructions after the verifier's rewrites, and how many it walked (Linux 5.16).
fn size(info: &ProgramInfo) -> String {
    let translated = info.size_translated().unwrap_or(0) / 8;
    match info.verified_instruction_count() {
        Some(verified) => format!("{translated} instructions, {verified} verified"),
        None => format!("{translated} instructions"),
    }
}
