//! A network namespace with one of the two iptables, and what stands in its tables.

use crate::command::{Said, shunt};
use shunt::lab::Namespace;
use std::{
    collections::BTreeSet,
    env, fs,
    io::Write as _,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// One of the kernel's two iptables: the program that is all of its commands, and how they are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Legacy,
    Nft,
}

pub const KINDS: [Kind; 2] = [Kind::Legacy, Kind::Nft];

/// A node where `iptables` is one of the two.
pub struct TestNode {
    pub namespace: Namespace,
    bin: TempDir,
}

impl TestNode {
    pub fn new(kind: Kind) -> Self {
        let bin = TempDir::new().unwrap();
        let program = match kind {
            Kind::Legacy => "/usr/sbin/xtables-legacy-multi",
            Kind::Nft => "/usr/sbin/xtables-nft-multi",
        };
        assert!(Path::new(program).exists(), "no {program}; `cargo xtask test` installs it");
        for tool in ["iptables", "ip6tables"] {
            for command in ["", "-save", "-restore"] {
                symlink(program, bin.path().join(format!("{tool}{command}"))).unwrap();
            }
        }
        Self { namespace: Namespace::new("node").unwrap(), bin }
    }

    /// A command that runs on the node and finds its iptables.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:{}", self.bin.path().display(), env::var("PATH").unwrap());
        command.env("PATH", path).stdin(Stdio::null());
        self.namespace.enter_command(&mut command);
        command
    }

    /// Runs a command line; words have no spaces.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        // The child's PATH is not the one that a program is looked for in.
        let own = self.bin.path().join(name);
        let mut command = if own.exists() { self.command(own) } else { self.command(name) };
        succeeded(line, command.args(words).output().unwrap())
    }

    /// Runs one with something to read.
    #[track_caller]
    pub fn run_with(&self, program: &str, args: &[&str], input: &str) -> String {
        let own = self.bin.path().join(program);
        let mut command = if own.exists() { self.command(own) } else { self.command(program) };
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        succeeded(program, child.wait_with_output().unwrap())
    }

    /// Runs `shunt cleanup` there.
    pub fn cleanup(&self, args: &[&str]) -> Said {
        let mut command = shunt(&["cleanup"]);
        // Whatever is pinned on this machine is none of this test's.
        if !args.contains(&"--pin-path") {
            command.args(["--pin-path", "/sys/fs/bpf/no-such-shunt"]);
        }
        command.args(args);
        self.namespace.enter_command(&mut command);
        command.output().unwrap().into()
    }

    /// All rules of both families and of nftables, without counters.
    pub fn rules(&self) -> String {
        let saved = ["iptables-save", "ip6tables-save"].map(|tool| without_remarks(&self.run(tool)));
        format!("{}{}{}", saved[0], saved[1], self.run("nft -s list ruleset"))
    }

    /// The rules of iptables that were told what they have counted, with that.
    pub fn counted(&self) -> Vec<String> {
        let saved = ["iptables-save -c", "ip6tables-save -c"].map(|line| self.run(line)).concat();
        saved.lines().filter(|line| line.starts_with("[5:500]")).map(str::to_owned).collect()
    }
}

/// Lines that were removed, or would be, as they are named.
pub fn named(said: &Said, prefix: &str) -> BTreeSet<String> {
    said.out
        .lines()
        .map(|line| line.strip_prefix(prefix).unwrap_or_else(|| panic!("{line}")).to_owned())
        .collect()
}

#[track_caller]
fn succeeded(what: &str, output: Output) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Policies have counters too, which traffic on the loopback device moves, and tables stand in the order of their making.
fn without_remarks(saved: &str) -> String {
    let mut tables: Vec<String> = Vec::new();
    for line in saved.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('*') {
            tables.push(String::new());
        }
        let line = line.split(" [").next().unwrap();
        tables.last_mut().unwrap().push_str(&format!("{line}\n"));
    }
    tables.sort();
    tables.concat()
}

/// A file of this test's that is gone with it.
pub fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}
