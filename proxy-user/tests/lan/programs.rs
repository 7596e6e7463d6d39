//! External programs in the laboratory.

use super::{SECOND, skipped, wait_until};
use shunt::lab::{Namespace, Program, Scratch, run};
use std::{
    io,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_program_runs_in_its_place_and_what_it_prints_is_kept() {
    if skipped() {
        return;
    }
    let namespace = Namespace::new("alone").unwrap();
    let output = run(&namespace, &mut shell("readlink /proc/self/ns/net; echo no >&2; exit 3"), SECOND * 5);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stdout, format!("net:[{}]\n", namespace.inode().unwrap()).into_bytes());
    assert_eq!(output.stderr, b"no\n");

    let input = Program::start_with_input(&namespace, &mut shell("cat"), b"one\ntwo\n").unwrap();
    assert_eq!(input.finish(SECOND * 5).unwrap().stdout, b"one\ntwo\n");
    // More than a pipe holds.
    let output = run(&namespace, &mut shell("head -c 1000000 /dev/zero"), SECOND * 5).unwrap();
    assert_eq!(output.stdout.len(), 1_000_000);
    let error = run(&namespace, &mut Command::new("/nowhere"), SECOND).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_program_that_takes_too_long_is_killed_with_its_children() {
    if skipped() {
        return;
    }
    let namespace = Namespace::new("alone").unwrap();
    let program = Program::start(&namespace, &mut shell("sleep 60 & echo $!; wait")).unwrap();
    program.wait_for("\n", SECOND * 5).unwrap();
    let child = Path::new("/proc").join(program.stdout().trim());
    assert!(child.exists());
    let began = Instant::now();
    let error = program.finish(Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::TimedOut, "{error}");
    assert!(error.to_string().starts_with("wait for on sh: still running after 50ms; printed: "), "{error}");
    assert!(began.elapsed() < SECOND);
    wait_until("the child ended", || !child.exists());

    let program = Program::start(&namespace, &mut shell("sleep 60 & echo $!; wait")).unwrap();
    program.wait_for("\n", SECOND * 5).unwrap();
    let child = Path::new("/proc").join(program.stdout().trim());
    drop(program);
    wait_until("the child ended", || !child.exists());

    // It leaves a child behind that holds its pipes open.
    let began = Instant::now();
    let output = run(&namespace, &mut shell("sleep 60 & echo started"), SECOND * 5).unwrap();
    assert_eq!(output.stdout, b"started\n");
    assert!(began.elapsed() < SECOND * 2, "{:?}", began.elapsed());
}

#[test]
fn a_text_is_waited_for_and_a_program_interrupted() {
    if skipped() {
        return;
    }
    let namespace = Namespace::new("alone").unwrap();
    let script = "trap 'echo interrupted; exit 0' INT; echo ready >&2; while :; do sleep 0.01; done";
    let mut program = Program::start(&namespace, &mut shell(script)).unwrap();
    program.wait_for("ready", SECOND * 5).unwrap();
    let error = program.wait_for("interrupted", Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::TimedOut);
    program.interrupt().unwrap();
    program.wait_for("interrupted", SECOND * 5).unwrap();
    assert_eq!(program.stderr(), "ready\n");
    assert!(program.finish(SECOND * 5).unwrap().status.success());

    let program = Program::start(&namespace, &mut shell("echo something else")).unwrap();
    let error = program.wait_for("ready", SECOND * 5).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::UnexpectedEof, "{error}");
}

#[test]
fn a_directory_goes_with_what_is_in_it() {
    let scratch = Scratch::new().unwrap();
    let file = scratch.write("file", "text").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
    let path = scratch.path().to_owned();
    drop(scratch);
    assert!(!path.exists());
}
