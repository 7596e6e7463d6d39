//! Memory of the process that keeps a cluster programmed: each size in a process of its own, which
//! holds nothing but the engine. The kernel's memory for the maps stands apart.

use super::{ENDPOINTS, Scale};
use crate::{
    cluster::SampleCluster,
    report::{Figure, Report},
    stage::Stage,
};
use anyhow::{Context as _, Result, ensure};
use std::{
    env, fs,
    process::{Command, Stdio},
};

/// The argument that makes the scenarios' binary the process that is measured.
pub const CHILD: &str = "--memory-of";

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// What is read from /proc/self/status. Mapped arrays are part of VmRSS and RssFile, although
/// their memory is the kernel's.
const FIELDS: [(&str, &str); 4] = [
    ("VmRSS", "resident, mapped arrays included"),
    ("VmHWM", "resident at most"),
    ("RssAnon", "resident, of the process alone"),
    ("RssFile", "resident, mapped arrays and the program"),
];

/// Runs the scenario.
///
/// # Errors
/// Where a process cannot be started or fails.
pub fn run(scale: Scale) -> Result<Report> {
    let mut report = Report::new("memory", "a process after its first fill, 10 endpoints per service");
    for services in scale.sizes() {
        let mut command = Command::new(env::current_exe().context("current_exe")?);
        command.args([CHILD, &services.to_string()]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        ensure!(output.status.success(), "{command:?}: {}", output.status);
        report.figures.extend(serde_json::from_slice::<Vec<Figure>>(&output.stdout)?);
    }
    Ok(report)
}

/// The process that is measured: fills the maps and prints its figures as JSON.
///
/// # Errors
/// Where the stage cannot be made.
pub fn child(services: u32) -> Result<()> {
    let stage = Stage::filled(SampleCluster::new(services, ENDPOINTS))?;
    let status = fs::read_to_string("/proc/self/status").context("read(/proc/self/status)")?;
    let figure = |what, bytes: f64| Figure::new(what, services, "MiB", vec![bytes / MIB]);
    let mut figures = Vec::new();
    for (field, what) in FIELDS {
        figures.push(figure(what, kibibytes(&status, field)? * 1024.0));
    }
    let maps: u64 = stage.engine.writer().memory()?.iter().map(|(_, bytes)| bytes).sum();
    figures.push(figure("maps, in the kernel", maps as f64));
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// A field of /proc/<pid>/status, in kB as there.
fn kibibytes(status: &str, field: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok());
    number.with_context(|| format!("no {field} in /proc/self/status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_status() {
        let status = "VmHWM:\t    5024 kB\nVmRSS:\t    4992 kB\n";
        assert_eq!(kibibytes(status, "VmRSS").unwrap(), 4_992.0);
        assert!(kibibytes(status, "RssAnon").is_err());
    }
}
