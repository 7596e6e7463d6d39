//! Whether warnings lead the reader to the place, and whether there is one for all that was left out.

use serde_json::Value;
use shunt::source::kubernetes::{ObjectId, Warning};
use std::collections::BTreeSet;

/// The warning names the object, and a field that the object has or should have; and it fits on one line
/// of a log.
pub fn assert_names_object_and_field(warning: &Warning, id: &ObjectId, object: &Value) {
    let line = warning.to_string();
    assert_eq!(warning.object, *id, "{line}");
    assert!(!warning.text.is_empty(), "{line}");
    assert!(is_field(&warning.field, object), "no field of the object: {line}");
    let own = format!("{}: {}", warning.field, warning.text);
    assert!(!own.chars().any(char::is_control), "{own:?}");
}

/// Every entry of the list at `path` was taken, but for those that a warning names.
pub fn assert_taken(path: &str, written: usize, taken: usize, warnings: &[Warning]) {
    let entry = |warning: &Warning| {
        let (index, field) = warning.field.strip_prefix(path)?.strip_prefix('[')?.split_once(']')?;
        // A port without its node port is a port all the same.
        (field != ".nodePort").then(|| index.to_owned())
    };
    let left_out: BTreeSet<_> = warnings.iter().filter_map(entry).collect();
    assert_eq!(taken + left_out.len(), written, "entries of {path} left out without a word: {warnings:?}");
}

/// True for a path as `spec.ports[0].port` that leads to a value, or one step beyond what is there.
fn is_field(path: &str, object: &Value) -> bool {
    let mut at = Some(object);
    let mut rest = path;
    while !rest.is_empty() {
        let Some(here) = at else { return false };
        if let Some(index) = rest.strip_prefix('[') {
            let Some((index, after)) = index.split_once(']') else { return false };
            rest = after.strip_prefix('.').unwrap_or(after);
            at = match index.parse::<usize>() {
                // An index is that of an entry: there is none beyond the list.
                Ok(index) => match here.get(index) {
                    Some(entry) => Some(entry),
                    None => return false,
                },
                Err(_) => here.get(index),
            };
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let after = &rest[end..];
            at = here.get(&rest[..end]);
            rest = after.strip_prefix('.').unwrap_or(after);
        }
    }
    !path.is_empty()
}
