//! `cargo xtask kernels`: does every program load on the kernels that we support? Debian's cloud
//! kernels, each booted in a virtual machine with one process, `kernel-init`.

use crate::{checkout, command, deps};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Options of `kernels`.
#[derive(Args)]
pub struct Options {
    /// Debian suites to take kernels from: bullseye has 5.10, the oldest that we support.
    #[arg(default_values = ["bullseye", "bookworm", "trixie"])]
    suites: Vec<String>,
    /// Also print what each program came to.
    #[arg(long, short)]
    verbose: bool,
}

/// Longest boot, seconds: without hardware virtualisation a kernel takes half a minute.
const BOOT_SECONDS: &str = "300";

/// Runs `kernels`.
///
/// # Errors
/// Where a kernel could not be had or booted; a program that does not load is an exit code.
pub fn run(options: &Options) -> Result<ExitCode> {
    deps::install(&deps::missing(deps::KERNEL_PACKAGES))?;
    let work = checkout().join("target/kernels");
    let initrd = work.join("initrd.cpio");
    fs::create_dir_all(&work).with_context(|| format!("mkdir({})", work.display()))?;
    fs::write(&initrd, initial_file_system(&work)?)
        .with_context(|| format!("write({})", initrd.display()))?;
    let mut failed = false;
    for suite in &options.suites {
        let kernel = kernel(&work, suite).with_context(|| format!("kernel of Debian {suite}"))?;
        let output = boot(&kernel, &initrd)?;
        let report = Report::new(&output);
        println!("{}", report.summary(suite));
        if options.verbose || !report.ok {
            println!("{}", if report.ok { report.details } else { output });
        }
        failed |= !report.ok;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What kernel-init wrote to the console.
struct Report {
    ok: bool,
    kernel: String,
    programs: usize,
    set_retval: bool,
    details: String,
}

impl Report {
    fn new(console: &str) -> Self {
        let mut report = Self {
            ok: false,
            kernel: "unknown".into(),
            programs: 0,
            set_retval: false,
            details: String::new(),
        };
        for line in console.lines().map(str::trim) {
            if let Some(kernel) = line.strip_prefix("kernel ") {
                report.kernel = kernel.into();
            } else if line.starts_with("program ") {
                report.programs += 1;
            } else if line == "kernel-init: ok" {
                report.ok = true;
            } else if let Some(answer) = line.strip_prefix("bpf_set_retval ") {
                report.set_retval = answer == "yes";
            } else {
                continue;
            }
            report.details.push_str("  ");
            report.details.push_str(line);
            report.details.push('\n');
        }
        report
    }

    fn summary(&self, suite: &str) -> String {
        let Self { ok, kernel, programs, set_retval, .. } = self;
        let verdict = if *ok { "loaded" } else { "FAILED" };
        let refusal = if *set_retval { "ECONNREFUSED" } else { "EPERM" };
        format!("{suite} {kernel}: {programs} programs {verdict}, refusals are {refusal}")
    }
}

/// The kernel image of a suite, from the cache or from Debian's archive. apt keeps its state below
/// `work`, so that the machine's own sources are not touched.
fn kernel(work: &Path, suite: &str) -> Result<PathBuf> {
    let unpacked = work.join(suite);
    if let Some(image) = find_image(&unpacked) {
        return Ok(image);
    }
    let state = work.join("apt").join(suite);
    for directory in ["lists/partial", "cache/archives/partial"] {
        let path = state.join(directory);
        fs::create_dir_all(&path).with_context(|| format!("mkdir({})", path.display()))?;
    }
    let sources = state.join("sources.list");
    let line = format!(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian {suite} main\n"
    );
    fs::write(&sources, line).with_context(|| format!("write({})", sources.display()))?;
    let apt = |program: &str| {
        let mut apt = Command::new(program);
        apt.current_dir(&state)
            .arg(format!("-oDir::Etc::SourceList={}", sources.display()))
            .arg("-oDir::Etc::SourceParts=-")
            .arg(format!("-oDir::State::Lists={}", state.join("lists").display()))
            .arg(format!("-oDir::Cache={}", state.join("cache").display()))
            .args([
                "-oDir::State::Status=/dev/null",
                "-oAcquire::Languages=none",
                "-oAPT::Sandbox::User=root",
            ]);
        apt
    };
    command::output(apt("apt-get").args(["-q", "update"]))?;
    // The meta package names the current kernel's own.
    let depends = command::output(apt("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
    let package = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .context("linux-image-cloud-amd64 names no kernel")?;
    command::output(apt("apt-get").args(["-q", "download", package]))?;
    let archive = fs::read_dir(&state)
        .with_context(|| format!("read_dir({})", state.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get download {package} left no file"))?;
    command::run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
    find_image(&unpacked).with_context(|| format!("{} has no /boot/vmlinuz", archive.display()))
}

fn find_image(unpacked: &Path) -> Option<PathBuf> {
    fs::read_dir(unpacked.join("boot")).ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|n| n.starts_with("vmlinuz-"))
    })
}

/// Boots a kernel and returns what it wrote to its console.
fn boot(kernel: &Path, initrd: &Path) -> Result<String> {
    // /dev/kvm may exist in a guest that cannot use it; the CPU's flags tell.
    let flags = fs::read_to_string("/proc/cpuinfo").context("read(/proc/cpuinfo)")?;
    let hardware = flags.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    let accelerator = if hardware && Path::new("/dev/kvm").exists() { "kvm:tcg" } else { "tcg" };
    let mut qemu = Command::new("timeout");
    qemu.args([BOOT_SECONDS, "qemu-system-x86_64", "-machine"])
        .arg(format!("pc,accel={accelerator}"))
        .args([
            "-cpu",
            "max",
            "-m",
            "512",
            "-nic",
            "none",
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
        ])
        .args(["-serial", "stdio", "-append", "console=ttyS0 panic=-1 quiet"])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd);
    command::output(&mut qemu)
}

/// A cpio archive with the object and, as the first process, kernel-init, which is linked statically
/// because nothing else is in there.
fn initial_file_system(work: &Path) -> Result<Vec<u8>> {
    let target = "x86_64-unknown-linux-gnu";
    let build = work.join("build");
    command::run(
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .current_dir(checkout())
            .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
            .env("CARGO_TARGET_DIR", &build)
            .args(["build", "--quiet", "--release", "--package=xtask", "--features=kernel-init"])
            .args(["--bin=kernel-init", "--target", target]),
    )?;
    let read = |path: PathBuf| fs::read(&path).with_context(|| format!("read({})", path.display()));
    let init = read(build.join(target).join("release/kernel-init"))?;
    let object = read(checkout().join("proxy-user/ebpf/shunt.bpf.o"))?;
    let mut archive = Cpio::default();
    archive.add("dev", 0o040_755, (0, 0), &[])?;
    // Character device 5:1: the console must be there before the first process starts.
    archive.add("dev/console", 0o020_600, (5, 1), &[])?;
    archive.add("init", 0o100_755, (0, 0), &init)?;
    archive.add("shunt.bpf.o", 0o100_644, (0, 0), &object)?;
    archive.finish()
}

/// An archive in the kernel's "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst):
/// headers of 13 hexadecimal numbers, names and contents padded to 4 bytes.
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

impl Cpio {
    fn add(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) -> Result<()> {
        let Ok(size) = u32::try_from(content.len()) else { bail!("{name} is too large for a cpio archive") };
        self.entries += 1;
        let (inode, links, name_size) = (self.entries, 1, name.len() as u32 + 1);
        let mut header = String::from("070701");
        for number in [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0] {
            write!(header, "{number:08x}")?;
        }
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        self.add("TRAILER!!!", 0, (0, 0), &[])?;
        Ok(self.bytes)
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_aligned_and_ends_in_a_trailer() {
        let mut archive = Cpio::default();
        archive.add("init", 0o100_755, (0, 0), b"12345").expect("add");
        let bytes = archive.finish().expect("finish");
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[6 + 6 * 8..6 + 7 * 8], b"00000005", "size of the content");
        assert_eq!(&bytes[110..115], b"init\0");
        assert_eq!(&bytes[116..121], b"12345");
        assert!(bytes.windows(11).any(|name| name == b"TRAILER!!!\0"));
    }

    #[test]
    fn a_report_without_the_last_line_is_a_failure() {
        let console = "booting\r\nkernel 5.10.0-32-cloud-amd64\r\nprogram connect4: 250 instructions\r\n\
                       bpf_set_retval no: unknown func bpf_set_retval#187\r\n";
        let report = Report::new(console);
        assert!(!report.ok);
        let report = Report::new(&format!("{console}kernel-init: ok\r\n"));
        assert_eq!(
            report.summary("bullseye"),
            "bullseye 5.10.0-32-cloud-amd64: 1 programs loaded, refusals are EPERM"
        );
    }
}
