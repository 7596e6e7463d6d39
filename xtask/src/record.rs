//! `proxy-user/ebpf/shunt.bpf.toml`: from which source and with which programs the committed object
//! was built.

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What the object is built from, below the checkout: directories with all that is in them, and files.
const SOURCES: &[&str] = &[
    "proxy-common/Cargo.toml",
    "proxy-common/src",
    "proxy-ebpf/Cargo.lock",
    "proxy-ebpf/Cargo.toml",
    "proxy-ebpf/src",
];

/// The note beside the object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// SHA-256 of names and contents of all sources.
    pub source_sha256: String,
    /// SHA-256 of the object.
    pub object_sha256: String,
    /// rustc's version line.
    pub compiler: String,
    /// bpf-linker's version line.
    pub linker: String,
    /// llvm-strip's LLVM version.
    pub strip: String,
}

impl Record {
    /// Reads the note.
    ///
    /// # Errors
    /// The file cannot be read, or lacks a line.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("read({})", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Writes the note.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.to_text()).with_context(|| format!("write({})", path.display()))
    }

    /// True if the same programs built both objects, so that the bytes must be the same.
    pub fn same_tools(&self, other: &Self) -> bool {
        (&self.compiler, &self.linker, &self.strip) == (&other.compiler, &other.linker, &other.strip)
    }

    fn parse(text: &str) -> Result<Self> {
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once(" = "))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.trim_matches('"').to_owned())
                .with_context(|| format!("no line for {key}"))
        };
        Ok(Self {
            source_sha256: value("source_sha256")?,
            object_sha256: value("object_sha256")?,
            compiler: value("compiler")?,
            linker: value("linker")?,
            strip: value("strip")?,
        })
    }

    fn to_text(&self) -> String {
        let Self { source_sha256, object_sha256, compiler, linker, strip } = self;
        format!(
            "# Written by `cargo xtask build-ebpf`; `--check` rebuilds shunt.bpf.o and compares.\n\
             source_sha256 = \"{source_sha256}\"\n\
             object_sha256 = \"{object_sha256}\"\n\
             compiler = \"{compiler}\"\n\
             linker = \"{linker}\"\n\
             strip = \"{strip}\"\n"
        )
    }
}

/// SHA-256 over the sources, in the order of their paths.
///
/// # Errors
/// A file that cannot be read, or whose name is not UTF-8.
pub fn source_hash(checkout: &Path) -> Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&checkout.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let Some(name) = file.strip_prefix(checkout).ok().and_then(Path::to_str) else {
            bail!("{} has no UTF-8 name", file.display());
        };
        let content = fs::read(&file).with_context(|| format!("read({})", file.display()))?;
        // Lengths keep a byte from wandering between a name and a content unnoticed.
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    Ok(hex(&hash.finalize()))
}

/// SHA-256 of bytes.
pub fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("read_dir({})", path.display()))? {
        collect(&entry.with_context(|| format!("read_dir({})", path.display()))?.path(), files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_round_trip() {
        let record = Record {
            source_sha256: hash(b"source"),
            object_sha256: hash(b"object"),
            compiler: "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)".into(),
            linker: "bpf-linker 0.13.0".into(),
            strip: "Debian LLVM version 22.1.8".into(),
        };
        assert_eq!(Record::parse(&record.to_text()).expect("parse"), record);
        assert!(Record::parse("compiler = \"rustc\"").is_err());
    }

    #[test]
    fn every_source_changes_the_hash() {
        let checkout = crate::checkout();
        let copy = std::env::temp_dir().join(format!("shunt-sources-{}", std::process::id()));
        let mut files = Vec::new();
        for source in SOURCES {
            collect(&checkout.join(source), &mut files).expect("collect");
        }
        for file in &files {
            let target = copy.join(file.strip_prefix(&checkout).expect("below the checkout"));
            fs::create_dir_all(target.parent().expect("parent")).expect("mkdir");
            fs::copy(file, target).expect("copy");
        }
        let before = source_hash(&copy).expect("hash");
        assert_eq!(before, source_hash(&checkout).expect("hash"), "the directory's name must not count");
        for file in &files {
            let target = copy.join(file.strip_prefix(&checkout).expect("below the checkout"));
            let content = fs::read(&target).expect("read");
            fs::write(&target, [&content[..], b"\n"].concat()).expect("write");
            assert_ne!(source_hash(&copy).expect("hash"), before, "{}", target.display());
            fs::write(&target, content).expect("write");
        }
        fs::remove_dir_all(&copy).expect("remove");
    }
}
