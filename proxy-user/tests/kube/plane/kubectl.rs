//! kubectl, as a user has it.

use super::Tools;
use serde_json::{Value, json};
use shunt::lab::{Place, Program};
use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

/// A busy machine may take its time.
const LIMIT: Duration = Duration::from_secs(60);

const STATUS: &str = "--subresource=status";

/// kubectl with the credentials of one user.
#[derive(Clone)]
pub struct Kubectl {
    tools: Tools,
    place: Place,
    kubeconfig: PathBuf,
    cache: PathBuf,
}

impl Kubectl {
    pub(super) fn new(tools: Tools, place: Place, kubeconfig: PathBuf, cache: PathBuf) -> Self {
        Self { tools, place, kubeconfig, cache }
    }

    /// Runs it, and returns what it wrote to standard output.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        self.run_with(args, "")
    }

    /// The same, with something to read; files of that kind are named `-`.
    #[track_caller]
    pub fn run_with(&self, args: &[&str], input: &str) -> String {
        let output = self.output(args, input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {}: {error}\n{input}", args.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it and tells whether it succeeded.
    pub fn succeeds(&self, args: &[&str]) -> bool {
        self.output(args, "").status.success()
    }

    /// What it said when it failed.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.output(args, "");
        assert!(!output.status.success(), "kubectl {}: it succeeded", args.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Creates objects, or makes them what the manifest says.
    #[track_caller]
    pub fn apply(&self, object: &Value) {
        self.run_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &object.to_string());
    }

    /// Creates an object.
    #[track_caller]
    pub fn create(&self, object: &Value) {
        self.run_with(&["create", "-f", "-"], &object.to_string());
    }

    /// Changes the status of an object as its owner does: `kind/name`, and a strategic merge patch.
    #[track_caller]
    pub fn patch_status(&self, object: &str, status: &Value) {
        self.run(&["patch", object, STATUS, "-p", &json!({ "status": status }).to_string()]);
    }

    /// The same; false if it fails.
    pub fn try_patch_status(&self, object: &str, status: &Value) -> bool {
        self.succeeds(&["patch", object, STATUS, "-p", &json!({ "status": status }).to_string()])
    }

    /// Changes an object by a merge patch.
    #[track_caller]
    pub fn patch(&self, object: &str, patch: &Value) {
        self.run(&["patch", object, "--type=merge", "-p", &patch.to_string()]);
    }

    /// Objects: `get` with these arguments, as JSON.
    #[track_caller]
    pub fn get(&self, args: &[&str]) -> Value {
        let args: Vec<_> = ["get"].iter().chain(args).chain(&["-o", "json"]).copied().collect();
        serde_json::from_str(&self.run(&args)).unwrap()
    }

    /// The command, to be started by the caller.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.tools.command("kubectl");
        command.arg("--kubeconfig").arg(&self.kubeconfig).arg("--cache-dir").arg(&self.cache);
        command.arg("--request-timeout=20s").args(args);
        command
    }

    fn output(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(args);
        let program = Program::start_with_input(self.place.clone(), &mut command, input.as_bytes());
        program.unwrap().finish(LIMIT).unwrap()
    }
}
