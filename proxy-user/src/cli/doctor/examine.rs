//! Looking at everything, in the order of the page.

use super::{
    DoctorArgs,
    checks::{self, Contradictions, Differences},
    finding::{Check, State},
    repair,
    report::{Heading, Report},
    self_test,
    subject::Subject,
    truth::Truth,
};
use crate::{
    cli::exit,
    kernel::{Kernel, PinnedMaps, watchman::findings},
    server::Timestamp,
    view::{decode, decode_node},
    writer::{MemoryMaps, WriteError},
};
use anyhow::Context as _;
use serde_json::Value;
use std::{
    thread,
    time::{Duration, SystemTime},
};

/// Between two looks at maps that seemed to disagree: a change takes microseconds, and an agent follows a file within
/// half a second.
const AGAIN: Duration = Duration::from_millis(800);

/// Looks at everything; mends what disagrees, if that is asked for, and looks again.
///
/// # Errors
/// Wrong usage, or maps that cannot be read though they were opened.
pub fn examine(args: &DoctorArgs) -> anyhow::Result<Report> {
    let mut report = look(args, None)?;
    let subject = Subject::new(args);
    // An agent needs not be told what the maps should hold.
    let least = if subject.is_held() { State::Notice } else { State::Unknown };
    // What finds no room at an agent finds none by writing it again; without one, maps grow.
    let disagrees = |check: &Check| {
        let mut findings = check.findings.iter();
        matches!(check.name, "tables" | "services")
            && findings
                .any(|finding| finding.severity > least && (finding.id != "map-full" || !subject.is_held()))
    };
    if !args.repair {
        return Ok(report);
    }
    if !report.checks.iter().any(disagrees) {
        let mut check = Check::new("repair");
        check.see("nothing was done: no disagreement was found that writing the maps would mend");
        check.fact("done", Value::Null);
        report.checks.push(check);
        return Ok(report);
    }
    let maps = Kernel::read_only(&subject.pin_path)?;
    let repaired = repair::repair(&subject, &maps, args, || Truth::read(args, &subject, &maps));
    look(args, Some(repaired))
}

/// Looks at everything, after what was done to mend it.
fn look(args: &DoctorArgs, repaired: Option<Check>) -> anyhow::Result<Report> {
    let subject = Subject::new(args);
    let opened = Kernel::read_only(&subject.pin_path);
    let found = findings(&subject.pin_path, &subject.cgroup);
    let mut checks = vec![checks::kernel(), checks::pins(&subject, &opened, &found)];
    let maps = opened.ok();
    let (maps, ports) = (maps.as_ref(), maps.as_ref().and_then(|maps| decode(maps).ok()).unwrap_or_default());
    checks.push(checks::agent(&subject, maps, ports.len()));
    checks.push(checks::sockets(&subject, maps, &found));
    let (devices, on) = checks::devices(&subject, maps, &found);
    checks.push(devices);
    if let Some(maps) = maps {
        let contradictions = contradictions(maps)?;
        let mut room = checks::room(&subject, maps, contradictions.is_empty());
        let services = compare(args, &subject, maps)?;
        // It is said once, by whoever knows what finds no room.
        if services.findings.iter().any(|finding| finding.id == "map-full") {
            room.findings.retain(|finding| finding.id != "map-full");
        }
        checks.push(room);
        checks.push(checks::tables(&subject, ports.len(), &contradictions));
        checks.push(services);
    }
    checks.push(checks::others(&subject.cgroup));
    checks.push(checks::sysctls(&on, &ports, maps));
    if let (Some(maps), false) = (maps, args.no_self_test) {
        checks.push(self_test::self_test(&subject, maps));
    }
    checks.extend(repaired);
    Ok(Report { heading: heading(maps), checks })
}

/// What disagrees in the maps, and still does a moment later.
fn contradictions(maps: &PinnedMaps) -> Result<Contradictions, WriteError> {
    let first = Contradictions::read(&MemoryMaps::copy_of(maps)?)?;
    if first.is_empty() {
        return Ok(first);
    }
    thread::sleep(AGAIN);
    Ok(first.lasting(&Contradictions::read(&MemoryMaps::copy_of(maps)?)?))
}

/// How the maps differ from what they should hold, and still do a moment later.
fn compare(args: &DoctorArgs, subject: &Subject, maps: &PinnedMaps) -> anyhow::Result<Check> {
    let read = || Truth::read(args, subject, maps).context("reading what the maps should hold");
    let truth = match read() {
        Ok(Some(truth)) => truth,
        Ok(None) => {
            let mut check = Check::new("services");
            check.see("not compared: give --kubeconfig, --api-server or --manifests to know what the maps should hold");
            return Ok(check);
        }
        // Those of the agent's own command line are nobody's usage here.
        Err(error) if exit::is_usage(&error) && !args.run.manifests.is_empty() => return Err(error),
        Err(error) => {
            let mut check = Check::new("services");
            check.see(format!("not compared: {error:#}"));
            check.unseen("services", "what the maps should hold", &format!("{error:#}"));
            return Ok(check);
        }
    };
    let first = Differences::between(&truth, &MemoryMaps::copy_of(maps)?)?;
    if first.lines.is_empty() && first.roomless.is_empty() {
        return Ok(checks::services(subject, &truth, &first));
    }
    thread::sleep(AGAIN);
    let later = read()?.unwrap_or(truth);
    let again = Differences::between(&later, &MemoryMaps::copy_of(maps)?)?;
    Ok(checks::services(subject, &later, &first.lasting(&again)))
}

fn heading(maps: Option<&PinnedMaps>) -> Heading {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let seconds = SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970());
    Heading {
        node: maps.map(|maps| decode_node(maps).0).unwrap_or_default(),
        kernel,
        time: Timestamp(Some(seconds)).to_string(),
    }
}

fn since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
