//! A YAML document with the line of every value, and scalars as they were written: `0755` and `1e3` are texts to an
//! option.

use super::place::{Lines, Problem};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter as _, Spanned};
use std::fmt;

/// A value and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Line, from 1.
    pub(super) line: u64,
    pub(super) value: Value,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of an entry and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) line: u64,
    pub(super) text: String,
}

/// What is wrong with a document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Line, from 1; unknown for what is missing.
    pub(super) line: Option<u64>,
    pub(super) message: String,
}

impl Broken {
    /// As a problem of a file.
    pub(super) fn at(self, lines: &Lines) -> Problem {
        let place = self.line.map_or_else(|| lines.whole(), |line| lines.at(line));
        Problem { place, message: self.message }
    }
}

/// Reads one document. An empty one is [`Value::Null`].
pub(super) fn read(text: &str) -> Result<Node, Broken> {
    let options = serde_saphyr::options! {
        emit_comments: false,
        strict_booleans: true,
        with_snippet: false,
    };
    let raw = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options);
    raw.and_then(|raw| node(raw, text)).map_err(|error| {
        let message = DefaultMessageFormatter.format_message(&error);
        let message = message.lines().next().unwrap_or_default();
        // What follows is advice to whoever calls the parser.
        let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or_default().to_owned();
        Broken { line: error.location().map(|location| location.line()), message }
    })
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(found, _)| found.text == key).map(|(_, node)| node)
    }

    /// A scalar's text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// What a reader of YAML hands on.
enum Raw {
    Null,
    Text(String),
    /// A number or a truth value, whose text is in the document.
    Plain(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Result<Node, serde_saphyr::Error> {
    let line = raw.referenced.line();
    let span = raw.defined.span();
    let range = || {
        let (start, length) = (span.byte_offset()?, span.byte_len()?);
        text.get(usize::try_from(start).ok()?..)?.get(..usize::try_from(length).ok()?)
    };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(scalar) => Value::Scalar(scalar),
        Raw::Plain(fallback) => Value::Scalar(range().map_or(fallback, |text| text.trim().to_owned())),
        Raw::List(items) => {
            Value::List(items.into_iter().map(|item| node(item, text)).collect::<Result<_, _>>()?)
        }
        Raw::Map(entries) => {
            let entry = |(key, value)| {
                let key = node(key, text)?;
                let line = key.line;
                match key.value {
                    Value::Scalar(text) => Ok((Key { line, text }, value)),
                    _ => Err(serde_saphyr::Error::custom("a key is a word")),
                }
            };
            let entries = entries.into_iter().map(entry);
            let entries = entries.map(|entry| entry.and_then(|(key, value)| Ok((key, node(value, text)?))));
            Value::Map(entries.collect::<Result<_, _>>()?)
        }
    };
    Ok(Node { line, value })
}

/// Whether the value of the key on this line is a literal block: then its lines follow one by one.
pub(super) fn is_literal_block(text: &str, line: u64) -> bool {
    let mark = || {
        let index = usize::try_from(line.checked_sub(1)?).ok()?;
        let head = text.lines().nth(index)?.split(" #").next()?.trim_end();
        head.rsplit_once(": ")?.1.strip_prefix('|')
    };
    mark().is_some_and(|mark| mark.chars().all(|mark| matches!(mark, '+' | '-' | '0'..='9')))
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_as_written_and_know_their_lines() {
        let text = "# a comment\na: 0755\nb:\n  - 1e3\n  - 'x y'\n  - true\n  - 1.50\n\nc: {d: ~, e: yes}\nf: \"\"\n";
        let root = read(text).unwrap();
        let Value::Map(entries) = &root.value else { panic!("{root:?}") };
        let lines: Vec<_> = entries.iter().map(|(key, _)| (key.text.as_str(), key.line)).collect();
        assert_eq!(lines, [("a", 2), ("b", 3), ("c", 9), ("f", 10)]);
        assert_eq!(root.get("a").unwrap().text(), Some("0755"));
        let Value::List(items) = &root.get("b").unwrap().value else { panic!("{root:?}") };
        let items: Vec<_> = items.iter().map(|item| (item.text().unwrap(), item.line)).collect();
        assert_eq!(items, [("1e3", 4), ("x y", 5), ("true", 6), ("1.50", 7)]);
        let c = root.get("c").unwrap();
        assert_eq!(
            (c.get("d").unwrap().value.clone(), c.get("e").unwrap().text()),
            (Value::Null, Some("yes"))
        );
        assert_eq!(root.get("f").unwrap().text(), Some(""));
        assert_eq!(read("# nothing\n").unwrap().value, Value::Null);
    }

    #[test]
    fn a_literal_block_knows_where_its_lines_are() {
        let text =
            "data:\n  config.conf: |-\n    a: 1\n    b: 2\n  folded: >-\n    a b\n  quoted: \"a: |\"\n";
        let root = read(text).unwrap();
        let Value::Map(data) = &root.get("data").unwrap().value else { panic!("{root:?}") };
        let found: Vec<_> = data.iter().map(|(key, _)| is_literal_block(text, key.line)).collect();
        assert_eq!(found, [true, false, false]);
        assert_eq!(data[0].1.text(), Some("a: 1\nb: 2"));
    }

    #[test]
    fn what_is_no_yaml_names_its_line() {
        for (text, line) in
            [("a: 1\nb: [\n", 3), ("a: 1\na: 2\n", 2), ("a: 1\n  b: 2\n", 2), ("a: 1\n---\nb: 2\n", 3)]
        {
            let broken = read(text).unwrap_err();
            assert!(broken.line.is_some_and(|found| found.abs_diff(line) <= 1), "{text:?}: {broken:?}");
            assert!(!broken.message.is_empty() && !broken.message.contains('\n'), "{broken:?}");
        }
    }
}
