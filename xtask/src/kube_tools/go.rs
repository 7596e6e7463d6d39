//! The pinned Go module and how it is built.

use crate::command;
use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Packages that hold what `--version` and the API server's `/version` say.
const VERSION_PACKAGES: [&str; 2] = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];

/// Changes with how the programs are built.
const RECIPE: &str = "static, stripped, trimmed paths, 1";

/// `proxy-user/tests/kube/go.mod`.
pub struct Module {
    directory: PathBuf,
    /// Of k8s.io/kubernetes, with its `v`.
    pub version: String,
    /// The oldest Go that the module allows.
    pub go_version: String,
    /// SHA-256 over the module's files and the recipe, in hexadecimal digits.
    pub hash: String,
}

impl Module {
    /// Reads the module of a directory.
    pub fn read(directory: &Path) -> Result<Self> {
        let mut hash = Sha256::new_with_prefix(RECIPE);
        let mut read = |name| {
            let path = directory.join(name);
            let text = fs::read_to_string(&path).with_context(|| format!("read({})", path.display()))?;
            hash.update(&text);
            Ok::<_, anyhow::Error>(text)
        };
        let text = read("go.mod")?;
        read("go.sum")?;
        let word_after = |name: &str| {
            let mut lines = text.lines().map(|line| line.trim().trim_start_matches("require "));
            let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            rest.split_whitespace().next().map(str::to_owned)
        };
        let lacks = |name: &str| format!("{}/go.mod names no {name}", directory.display());
        Ok(Self {
            version: word_after("k8s.io/kubernetes").with_context(|| lacks("k8s.io/kubernetes"))?,
            go_version: word_after("go").with_context(|| lacks("version of Go"))?,
            directory: directory.to_owned(),
            hash: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Fails unless there is a Go that takes the module.
    pub fn check_go(&self) -> Result<()> {
        match self.go().args(["list", "-m"]).output() {
            Ok(output) if output.status.success() => Ok(()),
            // "go.mod requires go >= 1.26.0 (running go 1.19.8)"
            Ok(output) => bail!("{}", String::from_utf8_lossy(&output.stderr).trim_end()),
            Err(error) => bail!("cannot run go: {error}"),
        }
    }

    /// Builds a package of the module into a file; objects are kept in a cache of their own, which takes gigabytes.
    pub fn build(&self, package: &str, to: &Path, cache: &Path) -> Result<()> {
        let mut flags = "-s -w".to_owned();
        let mut numbers = self.version.trim_start_matches('v').split('.');
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
            bail!("{} is no version", self.version);
        };
        for package in VERSION_PACKAGES {
            flags += &format!(" -X {package}.gitVersion={}", self.version);
            flags += &format!(" -X {package}.gitMajor={major} -X {package}.gitMinor={minor}");
        }
        let mut go = self.go();
        go.env("GOCACHE", cache);
        go.args(["build", "-trimpath", "-mod=readonly", "-ldflags", &flags, "-o"]).arg(to).arg(package);
        command::run(&mut go)
    }

    /// Go in the module's directory. Its own version is the user's choice: GOTOOLCHAIN stays as it is.
    fn go(&self) -> Command {
        let mut go = Command::new("go");
        go.current_dir(&self.directory).env("CGO_ENABLED", "0").env("GOWORK", "off");
        if env::var_os("GOFLAGS").is_none() {
            go.env("GOFLAGS", "-buildvcs=false");
        }
        go
    }
}

#[cfg(test)]
mod tests {
    use super::Module;

    #[test]
    fn the_pinned_version_is_read() {
        let module = Module::read(&crate::checkout().join("proxy-user/tests/kube")).expect("the module");
        let [one, minor, patch] = module.version.split('.').collect::<Vec<_>>()[..] else {
            panic!("{}", module.version)
        };
        assert_eq!(one, "v1");
        let text = std::fs::read_to_string(module.directory.join("go.mod")).expect("go.mod");
        let staging = text.lines().filter(|line| line.contains(" => "));
        let release = format!(" v0.{minor}.{patch}");
        assert!(
            staging.clone().count() > 25 && staging.clone().all(|line| line.ends_with(&release)),
            "{text}"
        );
        assert!(module.go_version.starts_with("1."), "{}", module.go_version);
    }
}
