//! What a case expects against what is found, as text that says where they differ.

use super::{
    case::{Explain, Verdict},
    text::Frontend,
};
use shunt::explain::{self, Answer, ClientAddress};
use std::fmt::Debug;

/// Every expected warning is given, each once, and no other.
pub fn warnings(expected: &[String], found: &[String]) -> Result<(), String> {
    let mut left: Vec<&String> = found.iter().collect();
    let mut missing = Vec::new();
    for words in expected {
        match left.iter().position(|warning| warning.contains(words)) {
            Some(index) => drop(left.remove(index)),
            None => missing.push(words),
        }
    }
    if missing.is_empty() && left.is_empty() {
        return Ok(());
    }
    Err(format!("warnings that are missing: {missing:#?}, and that are not expected: {left:#?}"))
}

pub fn same<T: PartialEq + Debug + ?Sized>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}\n    expected {expected:?}\n    found    {found:?}"))
}

pub fn none(what: &str, differences: &[String]) -> Result<(), String> {
    if differences.is_empty() { Ok(()) } else { Err(format!("{what}:\n  {}", differences.join("\n  "))) }
}

/// The answer of the tables, in every part that the case speaks of.
pub fn answer(expected: &Explain, found: &Answer) -> Result<(), String> {
    let mut differences = Vec::new();
    let mut check = |outcome: Result<(), String>| differences.extend(outcome.err());
    check(same("verdict", &expected.verdict, &verdict(found.verdict)));
    check(same("endpoints", &expected.endpoints, &found.endpoints));
    if let Some(client) = &expected.client {
        let found = found.client_address.map(|address| match address {
            ClientAddress::Kept => "kept",
            ClientAddress::Node => "node",
        });
        check(same("client", &Some(client.as_str()), &found));
    }
    if expected.service.is_some() {
        check(same("service", &expected.service, &found.service));
    }
    if expected.frontend.is_some() {
        check(same("frontend", &expected.frontend, &found.frontend.as_ref().map(Frontend::of)));
    }
    if let Some(words) = expected.reason.as_ref().filter(|words| !found.reason.contains(*words)) {
        check(Err(format!("the words {words:?} are not in the reason")));
    }
    none("the answer differs", &differences).map_err(|text| format!("{text}\n  reason: {}", found.reason))
}

const fn verdict(verdict: explain::Verdict) -> Verdict {
    match verdict {
        explain::Verdict::Forward => Verdict::Forward,
        explain::Verdict::Reject => Verdict::Reject,
        explain::Verdict::Drop => Verdict::Drop,
        explain::Verdict::Pass => Verdict::Pass,
    }
}
