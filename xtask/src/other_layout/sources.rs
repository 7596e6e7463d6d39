//! The sources of a checkout in memory, and as a tree of files.

use anyhow::{Context as _, Result};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What is no source, wherever it lies.
const LEFT_OUT: &[&str] = &["target", ".git"];

/// Files by their paths below the checkout.
#[derive(Default)]
pub struct Sources {
    files: BTreeMap<PathBuf, Vec<u8>>,
    kept: Vec<PathBuf>,
}

impl Sources {
    /// Reads all of them.
    ///
    /// # Errors
    /// Of the file that could not be read.
    pub fn read(checkout: &Path) -> Result<Self> {
        let mut sources = Self::default();
        for path in files(checkout)? {
            let bytes =
                fs::read(checkout.join(&path)).with_context(|| format!("read({})", path.display()))?;
            sources.files.insert(path, bytes);
        }
        Ok(sources)
    }

    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).into(), (*text).into()));
        Self { files: files.collect(), ..Self::default() }
    }

    /// Leaves what lies at `path` in the tree as it is.
    pub fn keep(&mut self, path: &str) {
        self.files.remove(Path::new(path));
        self.kept.push(path.into());
    }

    /// A file's text.
    ///
    /// # Errors
    /// There is no such file.
    pub fn text(&self, path: &str) -> Result<String> {
        let bytes = self.files.get(Path::new(path)).with_context(|| format!("there is no {path}"))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Replaces a file's text.
    pub fn put(&mut self, path: &str, text: String) {
        self.files.insert(path.into(), text.into_bytes());
    }

    /// Every Rust file below `directory`.
    pub fn rust(&self, directory: &str) -> Vec<String> {
        let is_rust =
            |path: &&PathBuf| path.starts_with(directory) && path.extension().is_some_and(|e| e == "rs");
        self.files.keys().filter(is_rust).map(|path| path.display().to_string()).collect()
    }

    /// Makes `tree` hold these files and no others. What is there already keeps its time of change, by which cargo knows
    /// what to build.
    ///
    /// # Errors
    /// Of the file that could not be written or removed.
    pub fn write(&self, tree: &Path) -> Result<()> {
        for (path, bytes) in &self.files {
            let to = tree.join(path);
            if fs::read(&to).is_ok_and(|there| there == *bytes) {
                continue;
            }
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).with_context(|| format!("mkdir({})", parent.display()))?;
            }
            fs::write(&to, bytes).with_context(|| format!("write({})", to.display()))?;
        }
        for path in files(tree)? {
            if !self.files.contains_key(&path) && !self.kept.contains(&path) {
                let gone = tree.join(path);
                fs::remove_file(&gone).with_context(|| format!("remove({})", gone.display()))?;
            }
        }
        Ok(())
    }
}

fn files(top: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let path = top.join(&directory);
        for entry in fs::read_dir(&path).with_context(|| format!("readdir({})", path.display()))? {
            let entry = entry.with_context(|| format!("readdir({})", path.display()))?;
            if LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            let path = directory.join(entry.file_name());
            match entry.file_type().with_context(|| format!("stat({})", path.display()))? {
                kind if kind.is_dir() => directories.push(path),
                kind if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    Ok(found)
}
