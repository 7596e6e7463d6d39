//! The documents of a file: text → one JSON value each.
//!
//! A YAML file is cut into documents before it is parsed, so that a syntax error costs one document
//! and not the file. The cut is exact: YAML forbids a line that begins with `---` or `...` and a white
//! space anywhere inside a document, quoted and block texts included (YAML 1.2.2, `c-forbidden`).

use super::json::Strict;
use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter, Options};

/// A document that is not empty.
#[derive(Debug)]
pub(super) struct Document {
    /// From 1.
    pub(super) number: usize,
    /// Its value, or what is wrong with its text.
    pub(super) value: Result<Value, String>,
}

/// The documents of a YAML file.
pub(super) fn yaml(text: &str) -> Vec<Document> {
    number(cut(text).into_iter().map(parse_yaml))
}

/// The documents of a JSON file: values one after the other. What follows a syntax error is lost, as
/// nothing says where the next value begins.
pub(super) fn json(text: &str) -> Vec<Document> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Strict>();
    number(values.map(|value| value.map(|Strict(value)| value).map_err(|error| error.to_string())))
}

fn number(values: impl Iterator<Item = Result<Value, String>>) -> Vec<Document> {
    let filled = values.filter(|value| !matches!(value, Ok(Value::Null)));
    filled.zip(1..).map(|(value, number)| Document { number, value }).collect()
}

/// One YAML document with the number of its first line in the file, from 0.
struct Piece<'a> {
    line: usize,
    text: &'a str,
}

fn cut(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    // Where the current document begins, and whether anything but its prefix (comments, directives,
    // blank lines) was seen: the prefix belongs to the `---` that follows it.
    let (mut start, mut start_line, mut begun) = (0, 0, false);
    let mut at = 0;
    for (line_number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") {
            if begun {
                pieces.push(Piece { line: start_line, text: &text[start..at] });
                (start, start_line) = (at, line_number);
            }
            begun = true;
        } else if is_marker(line, "...") {
            pieces.push(Piece { line: start_line, text: &text[start..at] });
            (start, start_line, begun) = (at + line.len(), line_number + 1, false);
        } else {
            let first = line.trim_start().bytes().next();
            begun |= !matches!(first, None | Some(b'#')) && !line.starts_with('%');
        }
        at += line.len();
    }
    pieces.push(Piece { line: start_line, text: &text[start..] });
    pieces
}

/// True for a line that is the marker, alone or before a white space.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn parse_yaml(piece: Piece<'_>) -> Result<Value, String> {
    let body = piece.text.strip_prefix("---").unwrap_or(piece.text).trim();
    // A JSON document may be indented by tabs, which YAML does not allow.
    if body.starts_with('{')
        && let Ok(Strict(value)) = serde_json::from_str(body)
    {
        return Ok(value);
    }
    serde_saphyr::from_str_with_options(piece.text, options(piece.text.len()))
        .map_err(|error| describe(&error, piece.line))
}

/// As the API server's own reader (YAML 1.1 by sigs.k8s.io/yaml): a key given twice is an error,
/// anchors and merge keys work, `yes` is true, `010` is eight.
fn options(length: usize) -> Options {
    let defaults = serde_saphyr::Budget::default();
    serde_saphyr::options! {
        // A document without aliases has at most about one node per byte. What aliases multiply is
        // limited by the crate's defaults all the same.
        budget: serde_saphyr::budget! {
            max_nodes: defaults.max_nodes.max(length),
            max_events: defaults.max_events.max(length.saturating_mul(2)),
            max_total_scalar_bytes: defaults.max_total_scalar_bytes.max(length),
            max_total_comment_bytes: defaults.max_total_comment_bytes.max(length),
        },
        emit_comments: false,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}

/// The message on one line, with the line number of the file and not of the document.
fn describe(error: &serde_saphyr::Error, first_line: usize) -> String {
    let message = DefaultMessageFormatter.format_message(error);
    let message = message.lines().next().unwrap_or_default();
    match error.location() {
        Some(location) => {
            let line = u64::try_from(first_line).unwrap_or(u64::MAX).saturating_add(location.line());
            format!("{message} at line {line} column {}", location.column())
        }
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn values(documents: Vec<Document>) -> Vec<Value> {
        documents.into_iter().map(|document| document.value.unwrap()).collect()
    }

    #[test]
    fn documents_of_a_yaml_file() {
        let table = [
            ("", json!([])),
            ("\n# nothing\n", json!([])),
            ("---\n---\n...\n---\n", json!([])),
            ("a: 1", json!([{"a": 1}])),
            ("a: 1\n---\nb: 2\n", json!([{"a": 1}, {"b": 2}])),
            ("# first\n---\na: 1\n--- # second\nb: 2\n---\n# empty\n", json!([{"a": 1}, {"b": 2}])),
            ("---\r\na: 1\r\n---\r\nb: 2\r\n", json!([{"a": 1}, {"b": 2}])),
            ("%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n# x\n---\nb: 2\n", json!([{"a": 1}, {"b": 2}])),
            ("--- {a: 1}\n--- [1]\n", json!([{"a": 1}, [1]])),
            ("a: |\n  ---\n  ...\nb: \"---\"\n", json!([{"a": "---\n...\n", "b": "---"}])),
            ("---x: 1\n", json!([{"---x": 1}])),
            ("{\n\t\"a\": 1\n}\n---\n{b: 2}\n", json!([{"a": 1}, {"b": 2}])),
        ];
        for (text, expected) in table {
            assert_eq!(Value::Array(values(yaml(text))), expected, "{text:?}");
        }
    }

    #[test]
    fn scalars_are_those_of_the_api_servers_yaml() {
        let table = [
            ("yes", json!(true)),
            ("'yes'", json!("yes")),
            ("off", json!(false)),
            ("80", json!(80)),
            ("010", json!(8)),
            ("010.96.0.10", json!("010.96.0.10")),
            ("0x50", json!(80)),
            ("\"80\"", json!("80")),
            ("!!str 80", json!("80")),
            ("~", json!(null)),
            ("10.0.0.0/8", json!("10.0.0.0/8")),
            ("fd00::1", json!("fd00::1")),
            ("12:30:45", json!("12:30:45")),
        ];
        for (text, expected) in table {
            assert_eq!(values(yaml(&format!("a: {text}\n"))), [json!({"a": expected})], "{text}");
        }
    }

    #[test]
    fn anchors_and_merge_keys() {
        let text = "base: &base {a: 1, b: 2}\nderived:\n  <<: *base\n  b: 3\nagain: *base\n";
        let base = json!({"a": 1, "b": 2});
        assert_eq!(values(yaml(text)), [json!({"base": base, "derived": {"a": 1, "b": 3}, "again": base})]);
        // Anchors end with their document.
        assert!(yaml("a: &x 1\n---\nb: *x\n")[1].value.is_err());
    }

    #[test]
    fn a_broken_document_costs_only_itself_and_tells_its_line() {
        let documents = yaml("a: 1\n---\nb: [1\n---\nc: 3\n---\nd: 1\ne: 2\nd: 3\n---\nf: 1\n");
        let summary: Vec<_> =
            documents.iter().map(|document| (document.number, document.value.is_ok())).collect();
        assert_eq!(summary, [(1, true), (2, false), (3, true), (4, false), (5, true)]);
        let duplicate = documents[3].value.as_ref().unwrap_err();
        assert!(duplicate.contains("duplicate") && duplicate.contains("at line 9 column 1"), "{duplicate}");
        let unclosed = documents[1].value.as_ref().unwrap_err();
        assert!(unclosed.contains("at line ") && !unclosed.contains('\n'), "{unclosed}");
    }

    #[test]
    fn documents_of_a_json_file() {
        assert_eq!(
            values(json("{\"a\": 1}\n\n[2] null {\"b\": 3}")),
            [json!({"a": 1}), json!([2]), json!({"b": 3})]
        );
        let documents = json("{\"a\": 1}\n{\"b\": }\n{\"c\": 3}");
        assert_eq!(documents.len(), 2);
        let error = documents[1].value.as_ref().unwrap_err();
        assert_eq!(error, "expected value at line 2 column 7");
        assert!(json("{\"a\": 1, \"a\": 2}")[0].value.is_err());
    }

    #[test]
    fn a_large_list_is_within_the_limits() {
        let mut text = String::from("items:\n");
        for index in 0..260_000 {
            text.push_str(&format!("- {index}\n"));
        }
        assert_eq!(values(yaml(&text))[0]["items"].as_array().unwrap().len(), 260_000);
    }

    #[test]
    fn nesting_and_aliases_without_end_are_errors() {
        for depth in [100, 10_000, 1_000_000] {
            assert!(yaml(&"[".repeat(depth))[0].value.is_err());
            assert!(yaml(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)))[0].value.is_err());
            assert!(yaml(&"- ".repeat(depth.min(10_000)))[0].value.is_err());
            assert!(json(&"[".repeat(depth.max(1_000)))[0].value.is_err());
        }
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(9);
            bomb.push_str(&format!("a{level}: &a{level} [{before}*a{}]\n", level - 1));
        }
        assert!(yaml(&bomb)[0].value.is_err());
    }
}
