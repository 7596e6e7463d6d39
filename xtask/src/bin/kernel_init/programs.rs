//! What the verifier of the running kernel makes of the object's programs, one line each.

use anyhow::{Context as _, Result, bail};
use aya::{
    EbpfLoader,
    programs::{Program, ProgramInfo},
};
use std::fs;

/// Loads every program, bridging or not, and with and without bpf_set_retval.
///
/// # Errors
/// A program does not load.
pub fn report(object: &str) -> Result<()> {
    let data = fs::read(object).with_context(|| format!("read({object})"))?;
    load(&data, 0, 0)?;
    load(&data, 0, 1)?;
    // A kernel without the helper must refuse this one; userspace probes by trying.
    match load(&data, 1, 0) {
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

fn load(data: &[u8], has_set_retval: u8, bridge: u8) -> Result<()> {
    let mut ebpf = EbpfLoader::new()
        .override_global("HAS_SET_RETVAL", &has_set_retval, true)
        .override_global("BRIDGE", &bridge, true)
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
            Program::SchedClassifier(program) => {
                program.load().with_context(|| format!("BPF_PROG_LOAD({name})"))?;
                program.info()
            }
            _ => bail!("{name} is of a program type that kernel-init does not know"),
        };
        if has_set_retval == 0 {
            let kind = if bridge == 0 { "program" } else { "bridging" };
            println!("{kind} {name}: {}", size(&info.with_context(|| format!("BPF_OBJ_GET_INFO({name})"))?));
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
