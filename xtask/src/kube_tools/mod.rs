//! `cargo xtask kube-tools`: the Kubernetes programs that tests and benches run, in `target/kube-tools`.
//!
//! `KUBEBUILDER_ASSETS` is looked at first, as everywhere in this ecosystem; what is not there is built with Go, once
//! for each user: see `store.rs`.
//!
//! Exit code 0: all are there. 1: a build failed. 3: something has to be built, and there is no Go that can.

mod go;
mod store;

use crate::checkout;
use anyhow::{Context as _, Result};
use clap::Args;
use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

const NO_GO: u8 = 3;

/// Names and packages, those first that most need.
const TOOLS: [(&str, &str); 5] = [
    // Debian's etcd 3.4 cannot tell how far a watch is, without which the API server refuses streaming lists.
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
];

/// Options of `kube-tools`.
#[derive(Args)]
pub struct Options {
    /// Only these: etcd, kube-apiserver, kube-controller-manager, kubectl, kube-proxy.
    #[arg(value_name = "TOOL", value_parser = TOOLS.map(|(name, _)| name))]
    only: Vec<String>,
}

/// Runs `kube-tools`.
///
/// # Errors
/// A build failed, or a directory cannot be written to.
pub fn run(options: &Options) -> Result<ExitCode> {
    let checkout = checkout();
    let module = go::Module::read(&checkout.join("proxy-user/tests/kube"))?;
    let target = checkout.join("target/kube-tools");
    fs::create_dir_all(&target).with_context(|| format!("mkdir({})", target.display()))?;
    let store = store::directory(&target, &module);
    // What one build leaves is of use to the next; once all are there, to nobody.
    let cache = target.join("go-build");
    let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    for (name, package) in TOOLS {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == name) {
            continue;
        }
        let given = assets.as_ref().map(|assets| assets.join(name)).filter(|path| path.is_file());
        let path = given.unwrap_or_else(|| store.join(name));
        if !path.is_file() {
            if let Err(error) = module.check_go() {
                eprintln!("{name} cannot be built: {error:#}");
                eprintln!(
                    "either put Go {} or later on PATH (Debian 12 has an older one), or set KUBEBUILDER_ASSETS to a \
                     directory with these programs",
                    module.go_version
                );
                return Ok(ExitCode::from(NO_GO));
            }
            let started = Instant::now();
            eprintln!("building {name} of {}; the first one takes minutes", module.version);
            store::add(&path, |unfinished| module.build(package, unfinished, &cache))?;
            eprintln!("built {name} in {} s", started.elapsed().as_secs());
        }
        link(&path, &target.join(name))?;
        println!("{}", path.display());
    }
    if cache.exists() {
        fs::remove_dir_all(&cache).with_context(|| format!("remove({})", cache.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the tests find all that they run; the search is that of `shunt::lab::control_plane::Tools`.
pub fn are_there() -> bool {
    let assets = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let directories: Vec<_> = assets.into_iter().chain([checkout().join("target/kube-tools")]).collect();
    let is_there = |name: &str| directories.iter().any(|directory| directory.join(name).is_file());
    TOOLS.iter().all(|(name, _)| is_there(name))
}

/// Makes `link` point to `path`.
fn link(path: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == path) {
        return Ok(());
    }
    if fs::symlink_metadata(link).is_ok() {
        fs::remove_file(link).with_context(|| format!("remove({})", link.display()))?;
    }
    symlink(path, link).with_context(|| format!("symlink({})", link.display()))
}
