//! What a check has seen, and what it holds against the node.

use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

/// How bad it is. The worst one decides about the whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    #[default]
    Ok,
    /// Worth knowing; connections to Services do not suffer.
    Notice,
    /// It could not be looked at.
    Unknown,
    /// Some connections suffer, or will.
    Degraded,
    /// The node does not balance.
    Critical,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Notice => "notice",
            Self::Unknown => "UNKNOWN",
            Self::Degraded => "DEGRADED",
            Self::Critical => "CRITICAL",
        })
    }
}

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// Its name, which does not change from version to version.
    pub id: &'static str,
    /// Never [`State::Ok`].
    pub severity: State,
    /// What was found.
    pub what: String,
    /// What comes of it.
    pub why: String,
    /// What to do: a command, or where there is none, a sentence.
    pub remedy: String,
}

/// What one check has seen.
#[derive(Clone, PartialEq, Debug)]
pub struct Check {
    /// Its name, which does not change from version to version.
    pub name: &'static str,
    /// For people, one thing a line.
    pub seen: Vec<String>,
    /// For programs.
    pub facts: Map<String, Value>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Check {
    /// A check that has seen nothing yet.
    pub fn new(name: &'static str) -> Self {
        Self { name, seen: Vec::new(), facts: Map::new(), findings: Vec::new() }
    }

    /// Notes something for people.
    pub fn see(&mut self, line: impl Into<String>) {
        self.seen.push(line.into());
    }

    /// Notes something for programs.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// Notes something wrong.
    pub fn find(
        &mut self,
        (severity, id): (State, &'static str),
        what: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let (what, why, remedy) = (what.into(), why.into(), remedy.into());
        self.findings.push(Finding { id, severity, what, why, remedy });
    }

    /// Notes something that could not be looked at, and for want of what.
    pub fn unseen(&mut self, id: &'static str, what: &str, error: &dyn fmt::Display) {
        self.find(
            (State::Unknown, id),
            format!("{what} could not be looked at: {error}"),
            "what cannot be looked at may be wrong",
            "run it as root, in the node's own network and PID namespaces: sudo shunt doctor",
        );
    }

    /// The worst of what was found.
    pub fn state(&self) -> State {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or_default()
    }
}
