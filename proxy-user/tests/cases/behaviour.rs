//! The table of rules in `docs/behaviour.md`: it has every rule, it names every case, and what it names is there.

use super::files;
use libtest_mimic::{Failed, Trial};
use std::{
    collections::BTreeSet,
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// The rules of each part, by their numbers.
const RULES: [(&str, RangeInclusive<usize>); 14] = [
    ("A", 1..=22),
    ("B", 1..=12),
    ("C", 1..=14),
    ("D", 1..=16),
    ("E", 1..=12),
    ("F", 1..=8),
    ("G", 1..=9),
    ("H", 1..=9),
    ("J", 1..=11),
    ("K", 1..=14),
    ("L", 1..=10),
    ("M", 1..=14),
    ("N", 2..=3),
    ("Q", 1..=10),
];

/// Rules that have one answer in each of kube-proxy's modes.
const PICKS: usize = 8;

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("behaviour::every_rule_has_a_row_that_says_what_shows_it", every_rule),
        Trial::test("behaviour::every_case_is_linked_and_every_link_leads_somewhere", every_link),
    ]
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/behaviour.md")
}

fn text() -> Result<String, Failed> {
    Ok(fs::read_to_string(page())?)
}

fn every_rule() -> Result<(), Failed> {
    let text = text()?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(" | ").collect()).collect();
    let rules =
        RULES.into_iter().flat_map(|(part, numbers)| numbers.map(move |number| format!("{part}{number}")));
    for (rule, count) in rules.map(|rule| (rule, 1)).chain([("R".to_owned(), PICKS)]) {
        let found: Vec<_> = rows.iter().filter(|row| row[0] == rule).collect();
        if found.len() != count || found.iter().any(|row| row.len() != 3 || row[1..].contains(&"")) {
            return Err(format!("{rule}: {count} complete rows are wanted: {found:?}").into());
        }
    }
    Ok(())
}

fn every_link() -> Result<(), Failed> {
    let text = text()?;
    let mut cases = BTreeSet::new();
    // `[name](target)`.
    for link in text.split('[').skip(1) {
        let Some((name, rest)) = link.split_once("](") else { continue };
        let (name, target) = (name.trim_matches('`'), rest.split(')').next().unwrap_or_default());
        let content = fs::read_to_string(page().with_file_name(target));
        let content = content.map_err(|error| format!("{target}: {error}"))?;
        if target.ends_with(".yaml") {
            cases.insert(name.to_owned());
            if !target.ends_with(&format!("/{name}.yaml")) {
                return Err(format!("[{name}] leads to {target}").into());
            }
        } else if !target.ends_with(".md") && !content.contains(&format!("fn {name}(")) {
            return Err(format!("{target} has no test {name}").into());
        }
    }
    let there: BTreeSet<_> = files().into_iter().map(|(name, _)| name).collect();
    let missing: Vec<_> = there.difference(&cases).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no row links {missing:?}").into()) }
}
