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

/// Stands for whichever of [`RECENT`] has the newest kernel.
pub const NEWEST: &str = "newest";

/// Suites that get new kernels, where a machine that builds Shunt may take them from.
const RECENT: [&str; 3] = ["trixie-backports", "forky", "sid"];

/// What names a suite's kernel for virtual machines.
const META: &str = "linux-image-cloud-amd64";

impl Kernel {
    /// The cloud kernel of a suite, or the [`NEWEST`], from the cache or from Debian's archive. apt keeps its state below
    /// `work`, so that the machine's own sources are not touched.
    ///
    /// # Errors
    /// Where the archive cannot be reached or its package is laid out otherwise.
    pub fn of_suite(work: &Path, suite: &str) -> Result<Self> {
        let unpacked = work.join(suite);
        if let Some(kernel) = Self::find(&unpacked) {
            return Ok(kernel);
        }
        let archive = if suite == NEWEST { Archive::newest(work)? } else { Archive::open(work, suite)? };
        for package in archive.download()? {
            command::run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&unpacked))?;
        }
        Self::find(&unpacked).with_context(|| format!("{} has no kernel or no modules", archive.image))
    }

    fn find(unpacked: &Path) -> Option<Self> {
        // From trixie on packages know only /usr/lib.
        let modules = ["lib/modules", "usr/lib/modules"]
            .iter()
            .find_map(|path| only(&unpacked.join(path), |_| true))?;
        // Since Linux 7 the kernel lies with its modules.
        let image = only(&unpacked.join("boot"), |name| name.starts_with("vmlinuz-"))
            .or_else(|| only(&modules, |name| name == "vmlinuz"))?;
        Some(Self { image, modules: modules.join("kernel") })
    }
}

/// An entry of a directory that has that kind of name.
fn only(directory: &Path, wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.into_iter().find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&wanted))
}

/// What Debian has of one suite.
struct Archive {
    state: PathBuf,
    /// The package of its kernel.
    image: String,
}

impl Archive {
    /// Asks Debian what a suite has.
    fn open(work: &Path, suite: &str) -> Result<Self> {
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
        let mut archive = Self { state, image: String::new() };
        command::output(archive.apt("apt-get").args(["-q", "update"]))?;
        archive.image = archive
            .depends(META, &["linux-image-"])?
            .pop()
            .with_context(|| format!("{META} of {suite} names no kernel"))?;
        Ok(archive)
    }

    /// The one of the newest kernel.
    fn newest(work: &Path) -> Result<Self> {
        let archives: Result<Vec<_>> = RECENT.iter().map(|suite| Self::open(work, suite)).collect();
        archives?.into_iter().max_by_key(|archive| version(&archive.image)).context("no suite has a kernel")
    }

    /// Packages that one depends on and whose names begin so.
    fn depends(&self, package: &str, beginnings: &[&str]) -> Result<Vec<String>> {
        let depends = command::output(self.apt("apt-cache").args(["depends", package]))?;
        let names = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names
            .filter(|name| beginnings.iter().any(|beginning| name.starts_with(beginning)))
            .map(str::to_owned)
            .collect())
    }

    /// Downloads the kernel and its modules, and returns where they are.
    fn download(&self) -> Result<Vec<PathBuf>> {
        // Since Linux 7 Debian has them in packages of their own.
        let mut packages = self.depends(&self.image, &["linux-base-", "linux-binary-", "linux-modules-"])?;
        if packages.is_empty() {
            packages.push(self.image.clone());
        }
        command::output(self.apt("apt-get").args(["-q", "download"]).args(&packages))?;
        packages
            .iter()
            .map(|package| {
                only(&self.state, |name| name.starts_with(package.as_str()) && name.ends_with(".deb"))
                    .with_context(|| format!("apt-get download {package} left no file"))
            })
            .collect()
    }

    fn apt(&self, program: &str) -> Command {
        let state = &self.state;
        let mut apt = Command::new(program);
        apt.current_dir(state)
            .arg(format!("-oDir::Etc::SourceList={}", state.join("sources.list").display()))
            .arg("-oDir::Etc::SourceParts=-")
            .arg(format!("-oDir::State::Lists={}", state.join("lists").display()))
            .arg(format!("-oDir::Cache={}", state.join("cache").display()))
            .args([
                "-oDir::State::Status=/dev/null",
                "-oAcquire::Languages=none",
                "-oAPT::Sandbox::User=root",
            ]);
        apt
    }
}

/// The numbers in a package's name: `linux-image-6.12.107+deb13-cloud-amd64` is 6, 12, 107 and Debian's own.
fn version(image: &str) -> Vec<u32> {
    image.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        let newest = ["linux-image-7.3.4+deb13-cloud-amd64", "linux-image-7.2.13+deb14-cloud-amd64"];
        assert!(version(newest[0]) > version(newest[1]));
        assert!(version(newest[1]) > version("linux-image-6.12.107+deb13-cloud-amd64"));
    }
}
