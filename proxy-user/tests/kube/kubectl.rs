//! kubectl, which succeeds or ends the test.

use serde_json::{Value, json};
use shunt::lab::control_plane;

const STATUS: &str = "--subresource=status";

/// kubectl of one user.
pub struct Kubectl(pub control_plane::Kubectl);

impl Kubectl {
    /// Runs it, and returns what it wrote to standard output.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        self.0.run(args).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Whether it succeeds.
    pub fn succeeds(&self, args: &[&str]) -> bool {
        self.0.output(args, "").unwrap().status.success()
    }

    /// Creates an object.
    #[track_caller]
    pub fn create(&self, object: &Value) {
        self.feed(&["create", "-f", "-"], object);
    }

    /// Creates an object, or makes it what the manifest says.
    #[track_caller]
    pub fn apply(&self, object: &Value) {
        self.feed(&["apply", "--server-side", "--force-conflicts", "-f", "-"], object);
    }

    #[track_caller]
    fn feed(&self, args: &[&str], object: &Value) {
        let fed = self.0.run_with(args, &object.to_string());
        fed.unwrap_or_else(|error| panic!("{error}, for {object:#}"));
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
}
