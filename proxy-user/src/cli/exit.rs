//! What a failed command says, and its exit code.

use crate::{dataplane::DataplaneError, demo::Unfit, kernel::KernelError, source::manifests::ManifestError};
use std::{
    io::{self, Write as _},
    process::ExitCode,
};

/// Wrong usage, or a machine that lacks what Shunt needs.
const ENVIRONMENT: u8 = 2;
/// `EX_USAGE` and `EX_SOFTWARE` of sysexits.h.
pub const EX_USAGE: u8 = 64;
const EX_SOFTWARE: u8 = 70;
/// As a shell has it of a program that ended by SIGPIPE: 128 + 13.
const NOBODY_READS: u8 = 141;

/// Arguments that do not fit together, or nothing to answer from: the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Says what went wrong, on one line where the error is one, and returns the exit code.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // As with `shunt dump | head`: whoever read has seen enough.
        return ExitCode::from(NOBODY_READS);
    }
    // Where standard error takes nothing, the exit code is all that can be said; eprintln would panic.
    let _ = writeln!(io::stderr(), "shunt: {}", describe(error));
    ExitCode::from(if is_environment(error) { ENVIRONMENT } else { 1 })
}

/// As [`failed`], of a command whose 0, 1 and 2 are answers: the codes of sysexits.h for usage and for anything else.
pub fn failed_apart(error: &anyhow::Error) -> ExitCode {
    let code = failed(error);
    if is_broken_pipe(error) {
        return code;
    }
    ExitCode::from(if is_usage(error) { EX_USAGE } else { EX_SOFTWARE })
}

/// Whether arguments do not fit, or name a manifest that is not there.
pub fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Usage>() || cause.is::<ManifestError>())
}

/// The error and its causes, without those whose text an error above them has in its own.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn is_environment(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<KernelError>().is_some_and(KernelError::is_environment)
            || cause.downcast_ref::<DataplaneError>().is_some_and(DataplaneError::is_environment)
            || cause.is::<ManifestError>()
            || cause.is::<Unfit>()
            || cause.is::<Usage>()
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let of_json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind).or(of_json);
        kind == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_said_once() {
        let gone = || io::Error::from_raw_os_error(2);
        let path = ManifestError::Path { path: "/no/such".into(), call: "stat", source: gone() };
        let whole = "/no/such: stat: No such file or directory (os error 2)";
        assert_eq!(describe(&path.into()), whole);
        let error = Err::<(), _>(gone()).context("reading it").expect_err("an error");
        assert_eq!(describe(&error), "reading it: No such file or directory (os error 2)");
    }

    #[test]
    fn only_a_closed_output_is_passed_over_in_silence() {
        let pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&pipe().into()));
        assert!(is_broken_pipe(&serde_json::Error::io(pipe()).into()));
        assert!(!is_broken_pipe(&io::Error::from(io::ErrorKind::NotFound).into()));
    }
}
