//! The workspace's own tests, as they are built for this machine, for the virtual ones: the same programs, with the
//! libraries that they are linked to and the files that they read, at the same paths.

use super::cpio::Cpio;
use crate::{checkout, command};
use anyhow::{Context as _, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// One run of a test program.
pub struct Step {
    /// What the table calls it.
    pub name: &'static str,
    /// The test program.
    pub test: &'static str,
    /// Which of its tests; all for none.
    pub filters: &'static [&'static str],
}

/// What a machine runs, in order: a short laboratory; then the cases through the kernel's maps and programs with real
/// sockets, which take longest.
pub const STEPS: &[Step] = &[
    Step { name: "sockets", test: "kernel_sockets", filters: &[] },
    Step {
        name: "packets",
        test: "packet_path",
        filters: &[
            "a_pod_of_the_node_sees_the_client_itself",
            "a_pod_of_another_node_sees_the_address",
            "when_an_endpoint_goes_its_tcp_flows_live_on",
            "a_pod_reaches_endpoints_of_another_node",
        ],
    },
    Step {
        name: "pins",
        test: "kernel_pins",
        filters: &["what_others_detached", "what_another_version_left"],
    },
    Step { name: "restart", test: "kill", filters: &[] },
    Step {
        name: "growth",
        test: "kernel_grow",
        filters: &["no_connection_and_no_flow_notices", "no_flow_of_packets_notices_that_maps_grow"],
    },
    Step { name: "cases", test: "cases", filters: &["kernel::"] },
];

/// Programs beside those that are built: pods are connected by these.
const PLUGINS: [&str; 2] = ["/usr/lib/cni/bridge", "/usr/lib/cni/host-local"];

/// Directories below the checkout that tests read.
const READ: [&str; 2] = ["proxy-user/cases", "examples"];

/// Puts all of it into a machine's file system, with the list of steps for its first process.
///
/// # Errors
/// The build failed, or a file cannot be read.
pub fn add(files: &mut Cpio, work: &Path) -> Result<()> {
    let tests = build()?;
    let mut programs: BTreeSet<PathBuf> = PLUGINS.iter().map(PathBuf::from).collect();
    let mut steps = String::new();
    for Step { name, test, filters } in STEPS {
        let program = tests.get(*test).with_context(|| format!("cargo built no test {test}"))?;
        let words = [*name, program.to_str().context("a path that is no text")?].into_iter();
        steps.push_str(&words.chain(filters.iter().copied()).collect::<Vec<_>>().join("\t"));
        steps.push('\n');
        programs.insert(program.clone());
    }
    // Those that start an agent find it where cargo had it.
    programs.insert(checkout().join("target/debug/shunt"));
    let mut libraries = BTreeSet::new();
    let stripped = work.join("stripped");
    for program in &programs {
        libraries.extend(linked(program)?);
        command::run(Command::new("strip").arg("-o").arg(&stripped).arg(program))?;
        add_file(files, program, &stripped)?;
    }
    libraries.iter().try_for_each(|library| add_file(files, library, library))?;
    for directory in READ {
        let directory = checkout().join(directory);
        for entry in fs::read_dir(&directory).with_context(|| format!("read_dir({})", directory.display()))? {
            let path = entry.context("read_dir")?.path();
            if path.is_file() {
                add_file(files, &path, &path)?;
            }
        }
    }
    files.add_file("steps", steps.as_bytes())
}

fn add_file(files: &mut Cpio, path: &Path, from: &Path) -> Result<()> {
    let name = path.to_str().context("a path that is no text")?.trim_start_matches('/');
    let content = fs::read(from).with_context(|| format!("read({})", from.display()))?;
    files.add_parents(name)?;
    files.add_program(name, &content)
}

/// Builds the test programs, as `cargo test` does; where each is, by name.
fn build() -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout()).args(["test", "--quiet", "--no-run", "--message-format=json"]);
    cargo.args(["--package", "proxy-user"]);
    let tests: BTreeSet<_> = STEPS.iter().map(|step| step.test).collect();
    for test in tests {
        cargo.args(["--test", test]);
    }
    let messages = command::output(&mut cargo)?;
    let mut found = BTreeMap::new();
    for line in messages.lines() {
        let message: serde_json::Value = serde_json::from_str(line).context("a message of cargo's")?;
        let target = &message["target"];
        if target["kind"][0] == "test"
            && let (Some(name), Some(path)) = (target["name"].as_str(), message["executable"].as_str())
        {
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(found)
}

/// The dynamic loader and the libraries of a program, where it finds them here; none if it is linked statically.
fn linked(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("cannot run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter_map(library).map(PathBuf::from).collect())
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or the loader's path alone.
fn library(line: &str) -> Option<&str> {
    let path = line.split_once("=> ").map_or(line, |(_, path)| path).split_whitespace().next()?;
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_prints() {
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007fc03b40c000)"), None);
        let libc = "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fc039e1e000)";
        assert_eq!(library(libc), Some("/lib/x86_64-linux-gnu/libc.so.6"));
        assert_eq!(
            library("\t/lib64/ld-linux-x86-64.so.2 (0x00007fc0)"),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        assert_eq!(library("\tnot a dynamic executable"), None);
    }
}
