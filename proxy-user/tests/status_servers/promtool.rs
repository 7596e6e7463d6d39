//! promtool of Debian's package prometheus, which knows what a page and a rule must be.

use std::{
    env,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Runs it with some input; `None`, said loudly, where there is none. A machine that must have it says so by
/// SHUNT_REQUIRE_LAB.
pub fn promtool(arguments: &[&str], directory: &Path, input: &str) -> Option<Output> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            assert!(env::var_os("SHUNT_REQUIRE_LAB").is_none(), "promtool: {error}");
            eprintln!("SKIPPED: promtool: {error}; it is in Debian's package prometheus");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// Asserts that promtool has nothing to complain about.
pub fn accepts(arguments: &[&str], directory: &Path, input: &str) {
    let Some(output) = promtool(arguments, directory, input) else { return };
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "promtool {}: {out}{err}", arguments.join(" "));
}

/// A page of metrics, without a word from its linter.
pub fn accepts_page(page: &str) {
    let Some(output) = promtool(&["check", "metrics"], Path::new("/"), page) else { return };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
}
