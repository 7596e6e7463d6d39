//! Everything that was looked at, and what follows from it.

use super::finding::{Check, Finding, State};
use serde::Serialize;
use serde_json::{Map, Value};
use std::cmp::Reverse;

/// Version of the JSON: fields may be added within one, and none goes or changes its meaning.
const VERSION: u32 = 1;

/// Whether this node balances connections to Services.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does.
    Balancing,
    /// What could be looked at says so, and not all could be.
    Unknown,
    /// It does, but not all of it is as it should be.
    Degraded,
    /// It does not.
    NotBalancing,
}

impl Verdict {
    const fn of(worst: State) -> Self {
        match worst {
            State::Ok | State::Notice => Self::Balancing,
            State::Unknown => Self::Unknown,
            State::Degraded => Self::Degraded,
            State::Critical => Self::NotBalancing,
        }
    }

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Balancing => 0,
            Self::Unknown | Self::Degraded => 1,
            Self::NotBalancing => 2,
        }
    }
}

/// Where and when.
#[derive(Clone, Debug, Default)]
pub struct Heading {
    /// Name of the node, as the maps have it.
    pub node: String,
    /// Release of the kernel.
    pub kernel: String,
    /// RFC 3339, UTC.
    pub time: String,
}

/// The whole.
#[derive(Clone, Debug)]
pub struct Report {
    pub heading: Heading,
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

/// Its JSON.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    verdict: Verdict,
    exit_code: u8,
    node: &'a str,
    shunt: &'static str,
    kernel: &'a str,
    time: &'a str,
    findings: Vec<FindingDocument<'a>>,
    checks: Vec<CheckDocument<'a>>,
}

#[derive(Serialize)]
struct FindingDocument<'a> {
    check: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    check: &'static str,
    state: State,
    seen: &'a [String],
    facts: &'a Map<String, Value>,
}

impl Report {
    /// What follows from it.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(self.checks.iter().map(Check::state).max().unwrap_or_default())
    }

    /// Whether nothing of what decides about connections could be looked at: neither programs nor the self-test.
    pub fn is_blind(&self) -> bool {
        let of = |name: &str| self.checks.iter().find(|check| check.name == name);
        let blind = |check: &Check| {
            check
                .findings
                .iter()
                .any(|finding| matches!(finding.id, "no-such-cgroup" | "cgroup" | "self-test"))
        };
        let undialled =
            |check: &Check| check.facts.get("dials").and_then(Value::as_array).is_some_and(Vec::is_empty);
        of("sockets").is_some_and(blind)
            && of("self-test").is_none_or(|check| blind(check) || undialled(check))
    }

    /// As JSON: what is worst comes first.
    ///
    /// # Errors
    /// Never, as all of it can be written.
    pub fn json(&self) -> serde_json::Result<String> {
        let verdict = self.verdict();
        let findings = self.findings().into_iter();
        serde_json::to_string_pretty(&Document {
            version: VERSION,
            verdict,
            exit_code: verdict.code(),
            node: &self.heading.node,
            shunt: env!("CARGO_PKG_VERSION"),
            kernel: &self.heading.kernel,
            time: &self.heading.time,
            findings: findings.map(|(check, finding)| FindingDocument { check, finding }).collect(),
            checks: self.checks.iter().map(CheckDocument::new).collect(),
        })
    }

    /// Everything that is wrong, each with the check that found it, what is worst first.
    pub fn findings<'a>(&'a self) -> Vec<(&'static str, &'a Finding)> {
        let of = |check: &'a Check| check.findings.iter().map(|finding| (check.name, finding));
        let mut found: Vec<_> = self.checks.iter().flat_map(of).collect();
        // A stable sort: among equals the checks' order stays, what others rest on first.
        found.sort_by_key(|(_, finding)| Reverse(finding.severity));
        found
    }
}

impl<'a> CheckDocument<'a> {
    fn new(check: &'a Check) -> Self {
        Self { check: check.name, state: check.state(), seen: &check.seen, facts: &check.facts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(states: &[State]) -> Report {
        let check = |state: &State| {
            let mut check = Check::new("a");
            if *state != State::Ok {
                check.find((*state, "x"), format!("{state}"), "y", "z");
            }
            check
        };
        Report { heading: Heading::default(), checks: states.iter().map(check).collect() }
    }

    #[test]
    fn the_worst_finding_is_the_verdict_and_stands_first() {
        for (states, verdict, code) in [
            (&[][..], Verdict::Balancing, 0),
            (&[State::Ok, State::Notice], Verdict::Balancing, 0),
            (&[State::Unknown, State::Ok], Verdict::Unknown, 1),
            (&[State::Unknown, State::Degraded], Verdict::Degraded, 1),
            (&[State::Degraded, State::Critical, State::Unknown], Verdict::NotBalancing, 2),
        ] {
            let report = report(states);
            assert_eq!((report.verdict(), report.verdict().code()), (verdict, code), "{states:?}");
            let severities: Vec<_> = report.findings().iter().map(|(_, finding)| finding.severity).collect();
            assert!(severities.is_sorted_by(|one, next| one >= next), "{severities:?}");
        }
    }

    #[test]
    fn json_has_verdict_findings_and_checks() {
        let json: Value = serde_json::from_str(&report(&[State::Degraded]).json().unwrap()).unwrap();
        assert_eq!((&json["verdict"], &json["exit_code"]), (&"degraded".into(), &1.into()));
        assert_eq!(json["findings"][0]["check"], "a");
        assert_eq!(json["findings"][0]["severity"], "degraded");
        assert_eq!(json["checks"][0]["state"], "degraded");
    }
}
