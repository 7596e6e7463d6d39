//! Kernel modules and those that they depend on, in the order to load them.

use crate::command;
use anyhow::{Context as _, Result, bail};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

/// A module as init_module(2) takes it.
#[derive(PartialEq, Eq, Debug)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// The ELF file, uncompressed.
    pub content: Vec<u8>,
}

/// Reads modules, each after those that it depends on, from below a kernel's directory of modules. What the kernel has
/// built in is left out.
///
/// # Errors
/// One is missing there or cannot be read; or it is compressed by anything but xz and zstd.
pub fn read(directory: &Path, names: &[&str]) -> Result<Vec<Module>> {
    let mut paths = BTreeMap::new();
    index(directory, &mut paths)?;
    let built_in = built_in(directory)?;
    let wanted: Vec<_> = names.iter().copied().filter(|name| !built_in.contains(*name)).collect();
    order(&wanted, &|name| {
        let path = paths.get(name).with_context(|| format!("{} has no {name}", directory.display()))?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("xz") => command::bytes(Command::new("xz").arg("-dc").arg(path)),
            Some("zst") => command::bytes(Command::new("zstd").arg("-dcq").arg(path)),
            _ => fs::read(path).with_context(|| format!("read({})", path.display())),
        }
    })
}

/// Names of the modules that need not be loaded: `modules.builtin` lies beside the directory.
fn built_in(directory: &Path) -> Result<BTreeSet<String>> {
    let list = directory.with_file_name("modules.builtin");
    let text = match fs::read_to_string(&list) {
        // A kernel without one says so by a module that is missing.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeSet::new()),
        text => text.with_context(|| format!("read({})", list.display()))?,
    };
    Ok(text
        .lines()
        .filter_map(|line| Some(kernel_name(line.rsplit('/').next()?.strip_suffix(".ko")?)))
        .collect())
}

/// Every module below a directory, by name.
fn index(directory: &Path, paths: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let reading = || format!("read_dir({})", directory.display());
    for entry in fs::read_dir(directory).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = entry.path();
        if entry.file_type().with_context(reading)?.is_dir() {
            index(&path, paths)?;
        } else if let Some(file) = path.file_name().and_then(|name| name.to_str())
            && let Some((name, "ko" | "ko.xz" | "ko.zst")) = file.split_once('.')
        {
            paths.insert(kernel_name(name), path);
        }
    }
    Ok(())
}

/// The kernel knows no hyphen: a module in `nf-log.ko` calls itself `nf_log`.
fn kernel_name(file: &str) -> String {
    file.replace('-', "_")
}

/// Depth first.
fn order(names: &[&str], content: &dyn Fn(&str) -> Result<Vec<u8>>) -> Result<Vec<Module>> {
    let mut ordered = Vec::new();
    for name in names {
        visit(name, content, &mut Vec::new(), &mut ordered)?;
    }
    Ok(ordered)
}

/// Appends a module, unless it is there, and before it what it depends on; `path` leads to it.
fn visit(
    name: &str,
    content: &dyn Fn(&str) -> Result<Vec<u8>>,
    path: &mut Vec<String>,
    ordered: &mut Vec<Module>,
) -> Result<()> {
    if ordered.iter().any(|module| module.name == name) {
        return Ok(());
    }
    if path.iter().any(|known| known == name) {
        bail!("{name} depends on itself");
    }
    let bytes = content(name)?;
    path.push(name.to_owned());
    for dependency in dependencies(&bytes) {
        visit(&dependency, content, path, ordered).with_context(|| format!("which {name} depends on"))?;
    }
    path.pop();
    ordered.push(Module { name: name.to_owned(), content: bytes });
    Ok(())
}

/// `.modinfo` is a section of strings, `depends=a,b` one of them (scripts/mod/modpost.c); no other string of
/// a module begins like that.
fn dependencies(module: &[u8]) -> Vec<String> {
    module
        .split(|byte| *byte == 0)
        .find_map(|text| str::from_utf8(text.strip_prefix(b"depends=")?).ok())
        .map(|names| names.split(',').filter(|name| !name.is_empty()).map(kernel_name).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Result<Vec<u8>> {
        let depends = match name {
            "sctp" => "udp_tunnel,libcrc32c",
            "udp_tunnel" | "libcrc32c" => "",
            "orphan" => "gone",
            "egg" => "hen",
            "hen" => "egg",
            _ => bail!("no {name}"),
        };
        Ok(format!("\x7fELF\0license=GPL\0depends={depends}\0name={name}\0").into_bytes())
    }

    #[test]
    fn a_module_comes_once_and_after_what_it_depends_on() {
        let modules = order(&["libcrc32c", "sctp"], &file).unwrap();
        let names: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["libcrc32c", "udp_tunnel", "sctp"]);
        assert_eq!(modules[2].content, file("sctp").unwrap());
    }

    #[test]
    fn what_cannot_be_ordered_is_named() {
        let error = order(&["orphan"], &file).unwrap_err();
        assert_eq!(format!("{error:#}"), "which orphan depends on: no gone");
        let error = order(&["egg"], &file).unwrap_err();
        assert_eq!(format!("{error:#}"), "which egg depends on: which hen depends on: egg depends on itself");
    }
}
