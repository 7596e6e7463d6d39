//! The page for people: the verdict, what is wrong and what to do, then everything that was looked at.

use super::report::{Heading, Report, Verdict};
use std::fmt::Write as _;

/// Writes the page.
pub fn render(report: &Report) -> String {
    let Heading { node, kernel, time } = &report.heading;
    let mut page = format!("{}\n", headline(report));
    let node = if node.is_empty() { "this node".to_owned() } else { format!("node {node}") };
    let _ = writeln!(page, "{node}, Linux {kernel}, shunt {}, {time}", env!("CARGO_PKG_VERSION"));
    for (number, (check, finding)) in (1..).zip(report.findings()) {
        let _ = writeln!(page, "\n{number}. {} {}: {}", finding.severity, finding.id, finding.what);
        let _ = writeln!(page, "   why  {} ({check})", finding.why);
        for (line, remedy) in finding.remedy.lines().enumerate() {
            let _ = writeln!(page, "   {:3}  {remedy}", if line == 0 { "do" } else { "" });
        }
    }
    page.push('\n');
    for check in &report.checks {
        let state = check.state();
        let mut lines = check.seen.iter().map(String::as_str);
        let _ = writeln!(page, "{state:8}  {:9}  {}", check.name, lines.next().unwrap_or("nothing to see"));
        for line in lines {
            let _ = writeln!(page, "{:8}  {:9}  {line}", "", "");
        }
    }
    page
}

/// The verdict, in words.
fn headline(report: &Report) -> String {
    let count = report.findings().len();
    let findings = match count {
        0 => String::new(),
        1 => " (1 finding)".to_owned(),
        _ => format!(" ({count} findings)"),
    };
    let verdict = match report.verdict() {
        Verdict::Balancing => "BALANCING: connections to Services reach their endpoints",
        Verdict::Unknown => "UNKNOWN: nothing wrong was found, but not all could be looked at",
        Verdict::Degraded if report.is_blind() => {
            "DEGRADED: not all is as it should be, and whether connections to Services are balanced could not be looked at"
        }
        Verdict::Degraded => "DEGRADED: connections to Services are balanced, but not all is as it should be",
        Verdict::NotBalancing => "NOT BALANCING: connections to Services fail, or soon will",
    };
    format!("{verdict}{findings}")
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Check, State};
    use super::*;

    #[test]
    fn the_page_begins_with_the_verdict_and_says_why_and_what_to_do() {
        let mut check = Check::new("sockets");
        check.see("9 of 11 programs");
        check.see("a second line");
        check.find((State::Critical, "programs-missing"), "two are gone", "nothing works", "a\nb");
        let heading = Heading { node: "n1".into(), kernel: "6.18".into(), time: "now".into() };
        let page = render(&Report { heading, checks: vec![Check::new("kernel"), check] });
        let version = env!("CARGO_PKG_VERSION");
        let wanted = format!(
            "NOT BALANCING: connections to Services fail, or soon will (1 finding)\n\
             node n1, Linux 6.18, shunt {version}, now\n\n\
             1. CRITICAL programs-missing: two are gone\n\
             \x20  why  nothing works (sockets)\n\
             \x20  do   a\n\
             \x20       b\n\n\
             ok        kernel     nothing to see\n\
             CRITICAL  sockets    9 of 11 programs\n\
             \x20                    a second line\n"
        );
        assert_eq!(page, wanted);
    }
}
