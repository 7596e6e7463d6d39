//! Kernels from Debian's archive.

use crate::command;
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A kernel package, unpacked.
pub struct Kernel {
    /// What to boot.
    pub image: PathBuf,
    /// The directory of its modules, `lib/modules/VERSION/kernel`.
    pub modules: PathBuf,
}

impl Kernel {
    /// The cloud kernel of a suite, from the cache or from Debian's archive. apt keeps its state below
    /// `work`, so that the machine's own sources are not touched.
    ///
    /// # Errors
    /// Where the archive cannot be reached or its package is laid out otherwise.
    pub fn of_suite(work: &Path, suite: &str) -> Result<Self> {
        let unpacked = work.join(suite);
        if let Some(kernel) = Self::find(&unpacked) {
            return Ok(kernel);
        }
        let archive = download(&work.join("apt").join(suite), suite)?;
        command::run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
        Self::find(&unpacked)
            .with_context(|| format!("{} has no /boot/vmlinuz or no modules", archive.display()))
    }

    fn find(unpacked: &Path) -> Option<Self> {
        let image = only(&unpacked.join("boot"), |name| name.starts_with("vmlinuz-"))?;
        // From trixie on packages know only /usr/lib.
        let modules = ["lib/modules", "usr/lib/modules"]
            .iter()
            .find_map(|path| only(&unpacked.join(path), |_| true))?
            .join("kernel");
        Some(Self { image, modules })
    }
}

/// An entry of a directory that has that kind of name.
fn only(directory: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.into_iter().find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted))
}

/// Downloads the package and returns its path.
fn download(state: &Path, suite: &str) -> Result<PathBuf> {
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
        apt.current_dir(state)
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
    only(state, |name| name.ends_with(".deb"))
        .with_context(|| format!("apt-get download {package} left no file"))
}
