//! Where built programs are kept: `~/.cache/shunt/kube-tools/VERSION-HASH`, so that every checkout of a user shares
//! them; in `target/kube-tools` where that cannot be written to.

use super::go::Module;
use anyhow::{Context as _, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

/// The directory of what this module builds. The hash covers everything that decides about the bytes but the compiler.
pub fn directory(target: &Path, module: &Module) -> PathBuf {
    let name = format!("{}-{}", module.version, &module.hash[..12]);
    let cache = env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let shared = cache.map(|cache| cache.join("shunt/kube-tools").join(&name));
    shared.filter(|path| fs::create_dir_all(path).is_ok()).unwrap_or_else(|| target.join(name))
}

/// Adds a program that `build` writes. It appears in one step, so a path that exists is a whole program, whoever was
/// interrupted and however many build at once.
pub fn add(path: &Path, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let directory = path.parent().context("a program's path has a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("mkdir({})", directory.display()))?;
    let unfinished = path.with_extension(format!("unfinished-{}", process::id()));
    let built = build(&unfinished).and_then(|()| {
        fs::rename(&unfinished, path).with_context(|| format!("rename({})", unfinished.display()))
    });
    if built.is_err() {
        // Go may have left nothing there.
        let _ = fs::remove_file(&unfinished);
    }
    built
}

#[cfg(test)]
mod tests {
    use super::add;
    use std::{env, fs, process};

    #[test]
    fn what_is_not_finished_is_not_there() {
        let directory = env::temp_dir().join(format!("shunt-store-{}", process::id()));
        let path = directory.join("kubectl");
        let failed = add(&path, |unfinished| {
            fs::write(unfinished, "half")?;
            anyhow::bail!("interrupted")
        });
        let left = fs::read_dir(&directory).map(Iterator::count);
        let finished = add(&path, |unfinished| Ok(fs::write(unfinished, "whole")?));
        let content = fs::read_to_string(&path);
        fs::remove_dir_all(&directory).expect("remove what the test made");
        assert!(failed.is_err());
        assert_eq!(left.ok(), Some(0));
        assert!(finished.is_ok());
        assert_eq!(content.ok().as_deref(), Some("whole"));
    }
}
