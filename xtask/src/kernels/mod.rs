//! `cargo xtask kernels`: does all work on the kernels that we support? Debian's cloud kernels, each booted in a virtual
//! machine with one process, `kernel-init`, which loads every program and runs tests. With `--sctp`, that process loads the
//! kernel's modules and starts another, `sctp-lab`.

mod cpio;
mod debian;
mod host_tests;
mod machine;
mod modules;
mod programs;
mod report;
mod results;

use crate::{checkout, deps};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use cpio::Cpio;
use debian::Kernel;
use programs::{KERNEL_INIT, SCTP_LAB, SHUNT};
use report::Report;
use std::{fs, path::Path, process::ExitCode, thread};

/// Options of `kernels`.
#[derive(Args)]
pub struct Options {
    /// Debian suites to take kernels from: bullseye has 5.10, the oldest that we support; `newest` is the newest of
    /// backports, testing and unstable.
    #[arg(default_values = ["bullseye", "bookworm", "trixie", debian::NEWEST])]
    suites: Vec<String>,
    /// Only load the programs, and run no tests.
    #[arg(long, conflicts_with = "sctp")]
    load: bool,
    /// Instead of loading the programs, let a client talk to a server over SCTP, which the kernels there have:
    /// three network namespaces (client, node, server), both families, 100 messages and their echoes each, first
    /// directly and then through a NodePort, with Shunt on the node.
    #[arg(long)]
    sctp: bool,
    /// Write the results to docs/kernels.json and docs/kernels.md.
    #[arg(long, conflicts_with_all = ["sctp", "load"])]
    write: bool,
    /// Boot nothing: tell whether the written results are of the committed eBPF object.
    #[arg(long, conflicts_with_all = ["sctp", "load", "write"])]
    check: bool,
    /// How many machines run at a time.
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// Also print what each program came to, or who was associated with whom.
    #[arg(long, short)]
    verbose: bool,
}

/// What the namespaces of `sctp-lab` are made of, and what the packet path attaches to devices with before
/// Linux 6.6.
const SCTP_MODULES: &[&str] = &["veth", "sctp", "sch_ingress", "cls_bpf"];

/// What the tests' namespaces are made of, and what they ask the kernel by.
const TEST_MODULES: &[&str] =
    &["veth", "bridge", "tun", "vxlan", "sch_ingress", "cls_bpf", "inet_diag", "tcp_diag", "udp_diag"];

/// Runs `kernels`.
///
/// # Errors
/// Where a kernel could not be had or booted; what fails in there is an exit code.
pub fn run(options: &Options) -> Result<ExitCode> {
    if options.check {
        return results::check().map(|()| ExitCode::SUCCESS);
    }
    deps::install(&deps::missing(deps::KERNEL_PACKAGES))?;
    let work = checkout().join("target/kernels");
    fs::create_dir_all(&work).with_context(|| format!("mkdir({})", work.display()))?;
    let programs: &[_] = if options.sctp { &[KERNEL_INIT, SCTP_LAB, SHUNT] } else { &[KERNEL_INIT] };
    let mut files = initial_files(&work, programs)?;
    if !options.sctp && !options.load {
        host_tests::add(&mut files, &work)?;
    }
    let modules = match options {
        Options { sctp: true, .. } => SCTP_MODULES,
        Options { load: true, .. } => &[],
        _ => TEST_MODULES,
    };
    let mut reports = Vec::new();
    for suites in options.suites.chunks(options.jobs.max(1)) {
        reports.extend(together(&work, suites, &files, modules, options)?);
    }
    let failed = reports.iter().any(|(_, report)| !report.ok);
    if options.write {
        results::write(&reports)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Boots the kernels of some suites at the same time.
fn together(
    work: &Path,
    suites: &[String],
    files: &Cpio,
    modules: &[&str],
    options: &Options,
) -> Result<Vec<(String, Report)>> {
    let of_all: Vec<_> = thread::scope(|scope| {
        let machines: Vec<_> = suites
            .iter()
            .map(|suite| scope.spawn(|| try_kernel(work, suite, files.clone(), modules, options.sctp)))
            .collect();
        machines.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    let mut reports = Vec::new();
    for (suite, report) in suites.iter().zip(of_all) {
        let Ok(report) = report else { bail!("the thread of {suite} panicked") };
        let report = report.with_context(|| format!("kernel of Debian {suite}"))?;
        println!("{}", if options.sctp { report.associations(suite) } else { report.line(suite) });
        if options.verbose || !report.ok {
            println!("{}", if report.ok { &report.details } else { &report.console });
        }
        reports.push((suite.clone(), report));
    }
    Ok(reports)
}

/// Boots the kernel of a suite.
fn try_kernel(work: &Path, suite: &str, mut files: Cpio, modules: &[&str], sctp: bool) -> Result<Report> {
    let kernel = Kernel::of_suite(work, suite)?;
    files.add_directory("modules")?;
    for (number, module) in modules::read(&kernel.modules, modules)?.iter().enumerate() {
        // kernel-init goes by the names.
        files.add_file(&format!("modules/{number:02}-{}.ko", module.name), &module.content)?;
    }
    let initrd = work.join(format!("initrd-{suite}.cpio"));
    fs::write(&initrd, files.finish()?).with_context(|| format!("write({})", initrd.display()))?;
    let console = work.join(format!("console-{suite}"));
    let console = machine::boot(&kernel.image, &initrd, &console, if sctp { "/sctp-lab" } else { "" });
    // It has the tests in it, a hundred megabytes.
    let _ = fs::remove_file(&initrd);
    Ok(Report::new(console?))
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
