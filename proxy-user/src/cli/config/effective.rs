//! The configuration that is in effect: every word with its value and where that comes from.

use super::{
    place::{Ignored, Problem, Source},
    resolve::Given,
    words::{Form, Words},
};
use clap::ArgMatches;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The effective configuration.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    entries: Vec<Entry>,
    /// What stands in files and is not used.
    pub ignored: Vec<Ignored>,
    /// What is wrong with files. Empty for whoever runs.
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct Entry {
    word: String,
    form: Form,
    /// None for a word without a default that nobody gave.
    values: Option<Vec<String>>,
    source: Source,
}

impl Configuration {
    pub(super) fn new(words: &Words<'_>, matches: &ArgMatches, given: &[Given<'_>]) -> Self {
        let entry = |arg: &clap::Arg| {
            let id = arg.get_id();
            let raw = matches.get_raw(id.as_str());
            let values = raw.map(|raw| raw.map(|value| value.to_string_lossy().into_owned()).collect());
            let rival = given.iter().any(|given| words.exclude_each_other(given.arg, arg));
            let given = given.iter().find(|given| given.arg.get_id() == id);
            Entry {
                word: arg.get_long().unwrap_or_default().to_owned(),
                form: Form::of(arg),
                // A default is none where its word has no meaning.
                values: if given.is_none() && rival { None } else { values },
                source: given.map_or(Source::Default, |given| given.source.clone()),
            }
        };
        Self { entries: words.iter().map(entry).collect(), ..Self::default() }
    }

    /// Words and values, as `/configz` serves them: switches and numbers as such, what may be a list as one. A word
    /// that nobody gave and that has no default is null.
    #[must_use]
    pub fn json(&self) -> Value {
        self.entries.iter().map(|entry| (entry.word.clone(), entry.json())).collect::<Map<_, _>>().into()
    }

    /// The same with where each value comes from, and what is not used.
    #[must_use]
    pub fn json_with_sources(&self) -> Value {
        let source = |entry: &Entry| (entry.word.clone(), Value::from(entry.source.to_string()));
        let sources: Map<_, _> = self.entries.iter().map(source).collect();
        let ignored = self.ignored.iter().map(|ignored| {
            let Ignored { place, what, why, matters } = ignored;
            json!({"place": place.to_string(), "what": what, "why": why, "matters": matters})
        });
        let problems = self
            .problems
            .iter()
            .map(|problem| json!({"place": problem.place.to_string(), "message": problem.message}));
        json!({
            "configuration": self.json(),
            "sources": sources,
            "ignored": ignored.collect::<Vec<_>>(),
            "problems": problems.collect::<Vec<_>>(),
        })
    }

    /// The configuration as a configuration file. A word without a value is a comment, and so is what is of no use on
    /// another node or beside the other words. With `given`, only words that somebody gave, as they were given.
    #[must_use]
    pub fn yaml(&self, given: bool) -> String {
        let wanted = |entry: &&Entry| !given || entry.source != Source::Default;
        let entries: Vec<_> = self.entries.iter().filter(wanted).collect();
        let lines: Vec<_> = entries.iter().map(|entry| entry.yaml()).collect();
        let width =
            lines.iter().map(|line| line.chars().count()).filter(|width| *width <= 48).max().unwrap_or(0);
        let mut text = String::new();
        for (line, entry) in lines.iter().zip(entries) {
            let _ = match &entry.values {
                Some(_) if !given && entry.is_of_here() => {
                    writeln!(text, "# {line:width$}# {}", entry.source)
                }
                Some(_) => writeln!(text, "{line:width$}  # {}", entry.source),
                None => writeln!(text, "{line:width$}  # not given"),
            };
        }
        text
    }
}

impl Entry {
    /// The name of this host, which is no other node's; and the file whose words stand here themselves.
    fn is_of_here(&self) -> bool {
        self.source == Source::HostName || self.word == "kube-proxy-config"
    }

    fn items(&self) -> Vec<&str> {
        let values = self.values.iter().flatten().map(String::as_str);
        match self.form {
            Form::Commas => values.flat_map(|value| value.split(',')).map(str::trim).collect(),
            Form::Each | Form::Switch | Form::Number | Form::Text => values.collect(),
        }
    }

    fn json(&self) -> Value {
        if self.values.is_none() {
            return Value::Null;
        }
        let items = self.items();
        match (self.form, items.as_slice()) {
            (Form::Switch | Form::Number, [item]) => item.parse().unwrap_or_else(|_| Value::from(*item)),
            (Form::Each, items) => items.into(),
            (_, [item]) => Value::from(*item),
            (_, items) => items.into(),
        }
    }

    fn yaml(&self) -> String {
        let word = &self.word;
        if self.values.is_none() {
            return format!("# {word}:");
        }
        let items = self.items();
        match (self.form, items.as_slice()) {
            (Form::Switch | Form::Number, [item]) => format!("{word}: {item}"),
            (_, [item]) => format!("{word}: {}", quoted(item)),
            (_, items) => {
                format!("{word}: [{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A text as YAML: as it is where no reader could take it for something else, else in the quotes of JSON.
fn quoted(text: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "/._-:*?".contains(letter);
    let is_word = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
        && text.chars().all(safe)
        && !text.ends_with(':');
    let is_something_else =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    // 1e3, 0x1f, 1_000 and 12:30:00 are numbers to some reader; 10s, 10.0.0.0/8 and 10.0.0.1:80 to none.
    let dots = text.matches('.').count();
    let may_be_number = text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|letter| letter.is_ascii_hexdigit() || "xo._-:".contains(letter))
        && dots < 3;
    if is_word && !is_something_else && !may_be_number {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::tree;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_read_as_it_was(text in "\\PC*|[a-z/._:,*0-9{}\\[\\]#'\" -]{0,12}|true|[0-9]{1,3}") {
            for document in [format!("a: {}", quoted(&text)), format!("a: [{}]  # end", quoted(&text))] {
                let root = tree::read(&document).expect(&document);
                let node = root.get("a").expect("a key");
                let item = match &node.value {
                    tree::Value::List(items) => items[0].text(),
                    _ => node.text(),
                };
                prop_assert_eq!(item, Some(text.as_str()), "{}", document);
            }
        }
    }
}
