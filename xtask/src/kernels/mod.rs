//! `cargo xtask kernels`: does every program load on the kernels that we support? Debian's cloud kernels, each
//! booted in a virtual machine with one process, `kernel-init`. With `--sctp`, that process loads the kernel's
//! modules and starts another, `sctp-lab`.

mod cpio;
mod debian;
mod machine;
mod modules;
mod programs;
mod report;

use crate::{checkout, deps};
use anyhow::{Context as _, Result};
use clap::Args;
use cpio::Cpio;
use debian::Kernel;
use programs::{KERNEL_INIT, SCTP_LAB, SHUNT};
use report::Report;
use std::{fs, path::Path, process::ExitCode};

/// Options of `kernels`.
#[derive(Args)]
pub struct Options {
    /// Debian suites to take kernels from: bullseye has 5.10, the oldest that we support.
    #[arg(default_values = ["bullseye", "bookworm", "trixie"])]
    suites: Vec<String>,
    /// Instead of loading the programs, let a client talk to a server over SCTP, which the kernels there have:
    /// three network namespaces (client, node, server), both families, 100 messages and their echoes each, first
    /// directly and then through a NodePort, with Shunt on the node.
    #[arg(long)]
    sctp: bool,
    /// Also print what each program came to, or who was associated with whom.
    #[arg(long, short)]
    verbose: bool,
}

/// What the namespaces of `sctp-lab` are made of, and what the packet path attaches to devices with before
/// Linux 6.6.
const LAB_MODULES: &[&str] = &["veth", "sctp", "sch_ingress", "cls_bpf"];

/// Runs `kernels`.
///
/// # Errors
/// Where a kernel could not be had or booted; what fails in there is an exit code.
pub fn run(options: &Options) -> Result<ExitCode> {
    deps::install(&deps::missing(deps::KERNEL_PACKAGES))?;
    let work = checkout().join("target/kernels");
    fs::create_dir_all(&work).with_context(|| format!("mkdir({})", work.display()))?;
    let programs: &[_] = if options.sctp { &[KERNEL_INIT, SCTP_LAB, SHUNT] } else { &[KERNEL_INIT] };
    let files = initial_files(&work, programs)?;
    let mut failed = false;
    for suite in &options.suites {
        let report = try_kernel(&work, suite, files.clone(), options.sctp)
            .with_context(|| format!("kernel of Debian {suite}"))?;
        println!("{}", if options.sctp { report.associations(suite) } else { report.programs(suite) });
        if options.verbose || !report.ok {
            println!("{}", if report.ok { report.details } else { report.console });
        }
        failed |= !report.ok;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Boots the kernel of a suite.
fn try_kernel(work: &Path, suite: &str, mut files: Cpio, sctp: bool) -> Result<Report> {
    let kernel = Kernel::of_suite(work, suite)?;
    if sctp {
        files.add_directory("modules")?;
        for (number, module) in modules::read(&kernel.modules, LAB_MODULES)?.iter().enumerate() {
            // kernel-init goes by the names.
            files.add_file(&format!("modules/{number:02}-{}.ko", module.name), &module.content)?;
        }
    }
    let initrd = work.join("initrd.cpio");
    fs::write(&initrd, files.finish()?).with_context(|| format!("write({})", initrd.display()))?;
    let console = machine::boot(&kernel.image, &initrd, if sctp { "/sctp-lab" } else { "" })?;
    Ok(Report::new(console))
}

/// What every machine's file system has: the first process's console, the object, and our programs.
fn initial_files(work: &Path, programs: &[programs::Program]) -> Result<Cpio> {
    let mut files = Cpio::default();
    files.add_directory("dev")?;
    // Character device 5:1: it must be there before the first process starts.
    files.add_device("dev/console", (5, 1))?;
    let object = checkout().join("proxy-user/ebpf/shunt.bpf.o");
    let object = fs::read(&object).with_context(|| format!("read({})", object.display()))?;
    files.add_file("shunt.bpf.o", &object)?;
    for (path, content) in programs::build(&work.join("build"), programs)? {
        files.add_program(path, &content)?;
    }
    Ok(files)
}
