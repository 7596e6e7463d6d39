//! The latest results, committed: `docs/kernels.json`, and the page `docs/kernels.md` that is made of it.

use super::report::{Program, Report, StepResult};
use crate::checkout;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, fs, path::PathBuf};

fn data() -> PathBuf {
    checkout().join("docs/kernels.json")
}

fn page() -> PathBuf {
    checkout().join("docs/kernels.md")
}

/// Writes both, of reports by suite.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(reports: &[(String, Report)]) -> Result<()> {
    let kernels: Vec<_> = reports.iter().map(|(suite, report)| kernel(suite, report)).collect();
    let results = json!({ "object": object()?, "kernels": kernels });
    let text = format!("{}\n", serde_json::to_string_pretty(&results)?);
    fs::write(data(), text).with_context(|| format!("write({})", data().display()))?;
    fs::write(page(), render(&results)).with_context(|| format!("write({})", page().display()))
}

/// Whether what is committed is of the committed eBPF object, whole and without a failure, and the page is of it.
///
/// # Errors
/// It is not, with what to do.
pub fn check() -> Result<()> {
    let read = |path: PathBuf| fs::read_to_string(&path).with_context(|| format!("read({})", path.display()));
    let results: Value =
        serde_json::from_str(&read(data())?).with_context(|| data().display().to_string())?;
    if results["object"] != object()?.as_str() {
        bail!("docs/kernels.json is of another eBPF object: run `cargo xtask kernels --write`");
    }
    for kernel in list(&results["kernels"]) {
        let steps = list(&kernel["steps"]);
        if kernel["ok"] != true || steps.is_empty() || steps.iter().any(|step| step["failed"] != 0) {
            bail!("docs/kernels.json has a failure on {}", kernel["kernel"]);
        }
    }
    if read(page())? != render(&results) {
        bail!("docs/kernels.md is not what docs/kernels.json says: run `cargo xtask kernels --write`");
    }
    Ok(())
}

/// SHA-256 of the committed object.
fn object() -> Result<String> {
    let path = checkout().join("proxy-user/ebpf/shunt.bpf.o");
    let bytes = fs::read(&path).with_context(|| format!("read({})", path.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn kernel(suite: &str, report: &Report) -> Value {
    let program = |Program { name, bridges, instructions, verified }: &Program| json!({ "name": name, "bridges": bridges, "instructions": instructions, "verified": verified });
    let step = |StepResult { name, passed, failed, seconds }: &StepResult| json!({ "name": name, "passed": passed, "failed": failed, "seconds": seconds });
    json!({
        "suite": suite,
        "kernel": report.kernel,
        "ok": report.ok,
        "set_retval": report.set_retval,
        "programs": report.programs.iter().map(program).collect::<Vec<_>>(),
        "steps": report.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

const INTRODUCTION: &str = "\
# Kernels

Debian's cloud kernels, each booted in a virtual machine by `cargo xtask kernels`: the verifier's answer to every program, with and without
its bridging half, then the cases of `proxy-user/cases` through the kernel's maps and programs with real sockets, and a short
laboratory of network namespaces: sockets and packets, TCP and UDP, both families, adopted pins, and agents that are killed under
churn. This page is made by `cargo xtask kernels --write`; `--check` tells whether it is of the committed eBPF object.

";

/// The page.
fn render(results: &Value) -> String {
    let kernels = list(&results["kernels"]);
    let mut page = String::from(INTRODUCTION);
    let steps: Vec<&str> =
        kernels.first().map(|kernel| list(&kernel["steps"])).unwrap_or_default().iter().map(name).collect();
    let _ = writeln!(
        page,
        "| kernel | programs | most instructions verified | refusals | {} |",
        steps.join(" | ")
    );
    let _ = writeln!(page, "|---|---|---|---|{}", "---|".repeat(steps.len()));
    for kernel in kernels {
        let programs = list(&kernel["programs"]);
        let loaded = programs.iter().filter(|program| program["bridges"] == false).count();
        let most =
            programs.iter().filter_map(|program| Some((program["verified"].as_u64()?, name(program)))).max();
        let most = most.map_or_else(|| "not told".to_owned(), |(count, name)| format!("{count} ({name})"));
        let refusal = if kernel["set_retval"] == true { "ECONNREFUSED" } else { "EPERM" };
        let _ = write!(page, "| {} | {loaded} | {most} | {refusal} |", text(&kernel["kernel"]));
        for step in list(&kernel["steps"]) {
            let (passed, failed) =
                (step["passed"].as_u64().unwrap_or(0), step["failed"].as_u64().unwrap_or(0));
            let _ = write!(page, " {passed} of {} |", passed + failed);
        }
        page.push('\n');
    }
    page.push_str("\nInstructions of each program after the kernel's rewrites / walked by the verifier, every way counted (limit: 1,000,000).\n\n");
    let _ = writeln!(
        page,
        "| program |{}",
        kernels.iter().map(|kernel| format!(" {} |", text(&kernel["kernel"]))).collect::<String>()
    );
    let _ = writeln!(page, "|---|{}", "---|".repeat(kernels.len()));
    for program in kernels.first().map(|kernel| list(&kernel["programs"])).unwrap_or_default() {
        let suffix = if program["bridges"] == true { ", bridging" } else { "" };
        let _ = write!(page, "| {}{suffix} |", name(program));
        for kernel in kernels {
            let same =
                |other: &&Value| other["name"] == program["name"] && other["bridges"] == program["bridges"];
            let cell = list(&kernel["programs"]).iter().find(same).map_or_else(String::new, |program| {
                let verified =
                    program["verified"].as_u64().map_or_else(|| "?".to_owned(), |count| count.to_string());
                format!("{} / {verified}", program["instructions"])
            });
            let _ = write!(page, " {cell} |");
        }
        page.push('\n');
    }
    page
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn name(of: &Value) -> &str {
    text(&of["name"])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_row_for_each_kernel_and_each_program() {
        let console = "kernel 6.1.0\nprogram connect4: 250 instructions, 900 verified\n\
                       step cases: ok. 82 passed; 0 failed; finished in 1s in 3 s\nkernel-init: ok\n";
        let results = json!({ "kernels": [kernel("bookworm", &Report::new(console.to_owned()))] });
        let page = render(&results);
        assert!(
            page.contains("| kernel | programs | most instructions verified | refusals | cases |\n"),
            "{page}"
        );
        assert!(page.contains("| 6.1.0 | 1 | 900 (connect4) | EPERM | 82 of 82 |\n"), "{page}");
        assert!(page.contains("| connect4 | 250 / 900 |\n"), "{page}");
    }
}
