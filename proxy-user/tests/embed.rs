//! The embedding example serves a lab's clients, without tokio or a Kubernetes client in its tree.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod field;

use field::{TIMEOUT, addr, skipped};
use shunt::lab::{Bpffs, Cgroup, Lab, Process, TcpServer, tcp_ask, tcp_ask_many};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Builds the example as an embedder would: without the agent's features.
fn example() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("embed");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "proxy-user", "--no-default-features", "--example", "embed"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(status.expect("cargo").success(), "the example does not build");
    target.join("debug/examples/embed")
}

#[test]
fn the_example_is_short_and_serves_a_lab() {
    let source = include_str!("../examples/embed.rs");
    assert!(source.lines().count() < 60, "the example has {} lines", source.lines().count());
    if skipped() {
        return;
    }
    let (lab, cgroup, bpffs) = (Lab::new(2).unwrap(), Cgroup::new().unwrap(), Bpffs::new().unwrap());
    let _servers: Vec<_> = (0..2)
        .map(|pod| {
            let address = SocketAddr::new(lab.pod(pod).ipv4().into(), 8080);
            TcpServer::start(lab.pod(pod), &format!("pod-{pod}"), address).unwrap()
        })
        .collect();
    let pin_path = bpffs.path().join("shunt");
    let mut command = Command::new(example());
    command.arg(cgroup.path()).arg(&pin_path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut embedder = Process::start(&mut command).unwrap();
    let mut output = BufReader::new(embedder.child().stdout.take().unwrap()).lines();
    let mut line = || output.next().unwrap().unwrap();
    assert_eq!(line(), "10.96.0.10:80 is served by two endpoints (2 frontends written)");
    assert_eq!(line(), "one endpoint left: 2 memory stores, 0 frontends");

    let frontend = addr("10.96.0.10:80");
    let tally = cgroup.run_in(lab.node(), || tcp_ask_many(frontend, 20)).unwrap();
    assert!(tally.errors.is_empty(), "{tally:?}");
    assert_eq!(tally.answers.keys().collect::<Vec<_>>(), ["pod-0"]);

    embedder.child().stdin.take().unwrap().write_all(b"\n").unwrap();
    let _ = line();
    assert_eq!(line(), "20 connections were balanced");
    assert!(embedder.child().wait().unwrap().success());
    assert!(!pin_path.exists());
    assert!(cgroup.run_in(lab.node(), || tcp_ask(frontend, TIMEOUT)).unwrap().is_err());
}
