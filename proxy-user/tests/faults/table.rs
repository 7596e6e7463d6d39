//! The table of docs/reliability.md is what the full run measured.

use crate::outcome::results;
use serde_json::Value;
use std::{env, fs, path::Path};

const BEGIN: &str = "<!-- faults: begin -->\n";
const END: &str = "<!-- faults: end -->\n";

/// A number with thin groups of three, as people read it.
fn number(value: &Value) -> String {
    let digits = value.as_u64().unwrap().to_string();
    let groups: Vec<_> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(" ")
}

fn row(result: &Value) -> String {
    let made = &result["connections"];
    let gap = match &result["gap"] {
        Value::Null => "none".to_owned(),
        gap => format!(
            "{} ms: {} not made, {} severed",
            number(&gap["longest_milliseconds"]),
            number(&gap["connections_not_served"]),
            number(&gap["streams_and_flows_severed"])
        ),
    };
    let text = |key: &str| result[key].as_str().unwrap();
    format!(
        "| {} | {} | {} | {} / {} / {} | {} | {} + {} | {} + {} | {gap} |\n",
        text("fault"),
        text("injected"),
        result["times"],
        number(&made["before"]),
        number(&made["during"]),
        number(&made["after"]),
        result["failed"],
        number(&result["streams"]),
        number(&result["flows"]),
        result["broken"],
        result["moved"],
    )
}

fn table(results: &[Value]) -> String {
    let mut table = "\
| Fault | How it was injected | Times | Connections before / during / after | Failed | Streams + flows | Broken + moved | Gap |
|---|---|---|---|---|---|---|---|
"
    .to_owned();
    let mut total = 0;
    for result in results {
        table += &row(result);
        total += ["before", "during", "after"]
            .iter()
            .map(|at| result["connections"][at].as_u64().unwrap())
            .sum::<u64>();
    }
    let failed: u64 = results.iter().map(|result| result["failed"].as_u64().unwrap()).sum();
    table + &format!("\n{} connections in all, {failed} failed.\n", number(&total.into()))
}

#[test]
fn the_table_of_the_documentation_is_what_was_measured() {
    let results: Vec<Value> = serde_json::from_slice(&fs::read(results()).unwrap()).unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
    let text = fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once(BEGIN).unwrap();
    let (found, tail) = rest.split_once(END).unwrap();
    let wanted = table(&results);
    if env::var_os("SHUNT_WRITE_GOLDEN").is_some() {
        fs::write(&page, format!("{head}{BEGIN}{wanted}{END}{tail}")).unwrap();
        return;
    }
    assert!(
        found == wanted,
        "docs/reliability.md has another table: run this test with SHUNT_WRITE_GOLDEN=1"
    );
}
