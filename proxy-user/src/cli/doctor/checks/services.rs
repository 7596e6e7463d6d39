//! Services whose maps disagree with the API server, or with manifests.

use super::{room, some};
use crate::{
    cli::{
        doctor::{
            finding::{Check, State},
            subject::Subject,
            truth::Truth,
        },
        document::{Document, PortDocument},
    },
    table::Full,
    writer::{MapReader, MemoryMaps, WriteError},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// How the maps differ from what they should hold.
#[derive(Debug, Default)]
pub struct Differences {
    /// Service ports that there should be.
    pub wanted: usize,
    /// One line each, by service port.
    pub lines: Vec<String>,
    /// The same of those that differ because a map of the kernel's has no room for them.
    pub roomless: Vec<String>,
    /// That map, and its entries.
    pub full: Option<Full>,
    /// Not one of the service ports that there should be is there.
    pub nothing: bool,
}

impl Differences {
    /// Compares.
    ///
    /// # Errors
    /// Where maps cannot be read.
    pub fn between(truth: &Truth, maps: &impl MapReader) -> Result<Self, WriteError> {
        // With as much room as it takes, so that what found none is a difference.
        let wanted = truth.in_memory(&maps.capacities())?;
        let (wanted, found) = (Document::read(wanted.writer())?, Document::read(maps)?);
        let (by_wanted, by_found) = (by_name(&wanted.services), by_name(&found.services));
        let mut lines = Vec::new();
        for (name, port) in &by_wanted {
            match by_found.get(name) {
                None => lines.push(format!("{name}{MISSING}")),
                Some(found) => {
                    let fields = differing(port, found);
                    if !fields.is_empty() {
                        lines.push(format!("{name}: {}", fields.join(", ")));
                    }
                }
            }
        }
        // What could not be read wholly says nothing of what is not in it.
        let extra = by_found.keys().filter(|name| truth.complete && !by_wanted.contains_key(*name));
        lines.extend(extra.map(|name| format!("{name} should not be there")));
        let (zone, other) = (&wanted.node.zone, &found.node.zone);
        if zone != other {
            lines.push(format!("the node's zone is {other:?}, not {zone:?}"));
        }
        let ((roomless, full), lines) =
            if lines.is_empty() { ((Vec::new(), None), lines) } else { roomless(truth, maps, lines)? };
        let nothing = !by_wanted.is_empty() && by_wanted.keys().all(|name| !by_found.contains_key(name));
        Ok(Self { wanted: by_wanted.len(), lines, roomless, full, nothing })
    }

    /// What two looks agree on: a change that was under way at one of them is none.
    pub fn lasting(mut self, later: &Self) -> Self {
        self.lines.retain(|line| later.lines.contains(line));
        self.roomless.retain(|line| later.roomless.contains(line));
        self.nothing &= later.nothing;
        self
    }
}

/// Says how they differ.
pub fn services(subject: &Subject, truth: &Truth, found: &Differences) -> Check {
    let mut check = Check::new("services");
    let Differences { wanted, lines, roomless, full, nothing } = found;
    check.see(format!("{wanted} service ports by {}, {} differ", truth.from, lines.len() + roomless.len()));
    check.fact("from", truth.from.as_str());
    check.fact("wanted", *wanted);
    check.fact("differences", [roomless.as_slice(), lines].concat());
    if let (Some(full), false) = (full, roomless.is_empty()) {
        check.find(
            (if *nothing { State::Critical } else { State::Degraded }, "map-full"),
            format!(
                "{} of {} entries has no room for {} service ports: {}",
                full.map,
                full.capacity,
                roomless.len(),
                some(roomless)
            ),
            "Services and endpoints that find no room are not balanced; those that are in it are",
            room::remedy(subject, full.map),
        );
    }
    if !lines.is_empty() {
        check.find(
            (if *nothing { State::Critical } else { State::Degraded }, "services-differ"),
            format!("{} differ from {}: {}", lines.len(), truth.from, some(lines)),
            "connections to them go elsewhere than they should, or nowhere",
            format!("{}, with the same options", subject.command("doctor --repair")),
        );
    }
    check
}

/// Parts lines in those of service ports that a map has no room for, with that map, and the others. Which ones found
/// room leans on the order in which they came, so as many may be missing as do not fit, whichever they are.
fn roomless(
    truth: &Truth,
    maps: &impl MapReader,
    lines: Vec<String>,
) -> Result<(Roomless, Vec<String>), WriteError> {
    let unplaced = truth.program(MemoryMaps::new(&maps.capacities()))?.unplaced();
    let is_missing = |line: &&String| line.ends_with(MISSING);
    let any_missing = lines.iter().filter(is_missing).count() <= unplaced.len();
    let names: Vec<_> = unplaced.iter().map(|unplaced| unplaced.port.to_string()).collect();
    let (roomless, others) = lines.into_iter().partition(|line| {
        any_missing && is_missing(&line) || names.iter().any(|name| line.starts_with(name))
    });
    Ok(((roomless, unplaced.first().map(|unplaced| unplaced.full)), others))
}

type Roomless = (Vec<String>, Option<Full>);

const MISSING: &str = " is missing";

fn by_name(ports: &[PortDocument]) -> BTreeMap<String, Value> {
    let entry = |port: &PortDocument| {
        let separator = if port.port.is_empty() { "" } else { ":" };
        let name = format!(
            "{}/{}{separator}{} {}/{}",
            port.namespace, port.name, port.port, port.protocol, port.family
        );
        Some((name, serde_json::to_value(port).ok()?))
    };
    ports.iter().filter_map(entry).collect()
}

/// What differs, field by field.
fn differing(wanted: &Value, found: &Value) -> Vec<String> {
    let (Value::Object(wanted), Value::Object(found)) = (wanted, found) else { return Vec::new() };
    let fields = wanted.iter().filter_map(|(field, wanted)| {
        let found = found.get(field)?;
        (wanted != found).then(|| describe(field, wanted, found))
    });
    fields.collect()
}

fn describe(field: &str, wanted: &Value, found: &Value) -> String {
    let (Value::Array(wanted), Value::Array(found)) = (wanted, found) else {
        return format!("{field} is {}, not {}", shown(found), shown(wanted));
    };
    let without = |all: &[Value], others: &[Value]| {
        let left = all.iter().filter(|one| !others.contains(one)).map(shown).collect::<Vec<_>>();
        some(&left)
    };
    let (lacks, has) = (without(wanted, found), without(found, wanted));
    match (lacks.is_empty(), has.is_empty()) {
        (false, true) => format!("{field} lacks {lacks}"),
        (true, false) => format!("{field} has {has} too"),
        _ => format!("{field} lacks {lacks} and has {has}"),
    }
}

/// An endpoint is a text, a frontend an object.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(frontend) => {
            let text = |field: &str| frontend.get(field).and_then(Value::as_str).unwrap_or_default();
            let port = frontend.get("port").map(ToString::to_string).unwrap_or_default();
            let address = text("address");
            let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            format!("{} {address}:{port}", text("kind"))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_names_field_and_value() {
        let frontend = |address: &str| json!({"kind": "ClusterIP", "address": address, "port": 80});
        let wanted =
            json!({"frontends": [frontend("10.96.0.1"), frontend("fd00::1")], "cluster": ["a", "b"], "x": 1});
        let found = json!({"frontends": [frontend("fd00::1")], "cluster": ["a", "b", "c"], "x": 2});
        let fields = differing(&wanted, &found);
        assert_eq!(fields, ["cluster has c too", "frontends lacks ClusterIP 10.96.0.1:80", "x is 2, not 1"]);
        assert_eq!(describe("cluster", &json!(["a"]), &json!(["b"])), "cluster lacks a and has b");
        assert_eq!(shown(&frontend("fd00::1")), "ClusterIP [fd00::1]:80");
        assert!(differing(&wanted, &wanted).is_empty());
    }
}
