//! What of the doctor's answers stays the same from node to node.

use serde_json::{Map, Value};

/// Words that are part of the format, and not of the node.
const WORDS: [&str; 4] = ["check", "state", "verdict", "severity"];

/// The page without numbers, paths, and what is the kernel's own.
pub fn page(text: &str) -> String {
    let mut lines = Vec::new();
    let mut of_kernel = false;
    for line in text.lines() {
        let begins = !line.starts_with(' ');
        of_kernel = line.contains("ok        kernel") || of_kernel && !begins;
        if of_kernel && !begins {
            continue;
        }
        lines.push(masked(line));
    }
    lines.join("\n") + "\n"
}

/// Each run of digits is N, each path PATH, and what an HTTP server says is left out.
fn masked(line: &str) -> String {
    let line = line.split_once(": 200 {").map_or(line, |(before, _)| before);
    let words = line.split(' ').map(|word| {
        let is_path = word.starts_with("/tmp/") || word.starts_with("/sys/");
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        if is_path { "PATH".to_owned() } else { digits(&word.replace(&release, "RELEASE")) }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn digits(word: &str) -> String {
    let mut masked = String::new();
    for letter in word.chars() {
        let letter = if letter.is_ascii_digit() { 'N' } else { letter };
        if !(letter == 'N' && masked.ends_with('N')) {
            masked.push(letter);
        }
    }
    masked
}

/// The shape of JSON: types in place of values, the first element in place of a list; but of the checks all.
pub fn shape(json: &Value) -> Value {
    match json {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                let kept = WORDS.contains(&name.as_str()) && value.is_string();
                let of_all = || value.as_array().unwrap().iter().map(shape).collect();
                let value = if kept {
                    value.clone()
                } else if name == "checks" {
                    of_all()
                } else {
                    shape(value)
                };
                (name.clone(), value)
            };
            Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
        }
        Value::Array(all) => Value::Array(all.first().map(shape).into_iter().collect()),
        Value::String(_) => "text".into(),
        Value::Number(_) => "number".into(),
        Value::Bool(_) => "true or false".into(),
        Value::Null => Value::Null,
    }
}
