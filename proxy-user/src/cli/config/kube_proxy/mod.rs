//! kube-proxy's own configuration: what applies is turned into settings, the rest is named line by line.

mod document;
mod fields;
#[cfg(test)]
mod tests;
mod translate;

use super::{
    file::Setting,
    place::{Ignored, Lines, Problem},
    tree::{Node, Value},
};
use crate::cli::duration::KubeDuration;
use fields::{Fate, Field};
use std::collections::BTreeMap;

/// What a KubeProxyConfiguration comes to.
#[derive(Default)]
pub(super) struct Translated {
    pub(super) settings: Vec<Setting>,
    pub(super) ignored: Vec<Ignored>,
    pub(super) problems: Vec<Problem>,
}

/// Reads the text of a KubeProxyConfiguration, or of a ConfigMap that holds one.
pub(super) fn read(text: &str, lines: &Lines) -> Translated {
    let (root, lines) = match document::find(text, lines) {
        Ok(found) => found,
        Err(problem) => return Translated { problems: vec![problem], ..Translated::default() },
    };
    let mut found = BTreeMap::new();
    let mut translated = Translated::default();
    collect(&root, "", &lines, &mut found, &mut translated.ignored);
    for (path, (field, at)) in &found {
        let (why, matters) = match field.fate {
            Fate::Used => continue,
            Fate::Needless(why) => (why, false),
            Fate::Missed(why) => (why, true),
        };
        if !field.is_default(&at.node) {
            let what = format!("{path}: {}", shown(&at.node));
            translated.ignored.push(Ignored { place: lines.at(at.line), what, why: why.to_owned(), matters });
        }
    }
    translate::translate(&found, &lines, &mut translated);
    translated.ignored.sort_by(|one, other| one.place.cmp(&other.place));
    translated
}

/// A value and where its key stands.
struct At {
    line: u64,
    node: Node,
}

/// Fields that are there, by their paths.
type Found = BTreeMap<&'static str, (&'static Field, At)>;

fn collect(node: &Node, prefix: &str, lines: &Lines, found: &mut Found, ignored: &mut Vec<Ignored>) {
    let Value::Map(entries) = &node.value else { return };
    for (key, node) in entries {
        let path = format!("{prefix}{}", key.text);
        if let Some(field) = fields::find(&path) {
            found.insert(field.path, (field, At { line: key.line, node: node.clone() }));
        } else if fields::is_section(&path) && matches!(node.value, Value::Map(_) | Value::Null) {
            collect(node, &format!("{path}."), lines, found, ignored);
        } else {
            let why = "kube-proxy's configuration has no such field that is known here".to_owned();
            ignored.push(Ignored { place: lines.at(key.line), what: path, why, matters: true });
        }
    }
}

impl Field {
    fn is_default(&self, node: &Node) -> bool {
        let text = match &node.value {
            Value::Null => return true,
            Value::List(items) => return items.is_empty(),
            Value::Map(entries) => return entries.is_empty(),
            Value::Scalar(text) => text,
        };
        let duration = |text: &str| text.parse::<KubeDuration>().ok();
        let same = |other: &&str| {
            *other == text || duration(other).is_some_and(|other| duration(text) == Some(other))
        };
        text.is_empty() || self.defaults.iter().any(same)
    }
}

/// A value on one line.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Scalar(text) => text.clone(),
        Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, node)| format!("{}: {}", key.text, shown(node)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Every field, and whether it is obeyed.
#[cfg(test)]
pub(super) fn fields() -> impl Iterator<Item = (&'static str, bool)> {
    fields::FIELDS.iter().map(|field| (field.path, field.fate == Fate::Used))
}

/// The fields as a table of the documentation.
#[cfg(test)]
pub(super) fn table() -> String {
    let mut table = "| Field | Obeyed as, or why not |\n|---|---|\n".to_owned();
    for field in fields::FIELDS {
        let fate = match field.fate {
            Fate::Used => translate::words(field.path).to_owned(),
            Fate::Needless(why) => format!("Not missed: {why}"),
            Fate::Missed(why) => format!("**Missed**, if set: {why}"),
        };
        table.push_str(&format!("| `{}` | {fate} |\n", field.path));
    }
    table
}
