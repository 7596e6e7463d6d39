//! The file of `--config`: words and values.

use super::{
    place::{Lines, Problem, Source},
    tree::{self, Node, Value},
    words::{Form, Words},
};

/// A word with its values, as an option has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) word: String,
    /// More than one only where the option can be given more than once.
    pub(super) values: Vec<String>,
    pub(super) source: Source,
}

/// Reads the text of a configuration file. What its values mean is for their options to say.
pub(super) fn read(text: &str, lines: &Lines, words: &Words<'_>) -> (Vec<Setting>, Vec<Problem>) {
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    let root = match tree::read(text) {
        Ok(root) => root,
        Err(broken) => return (settings, vec![broken.at(lines)]),
    };
    let entries = match root.value {
        Value::Null => Vec::new(),
        Value::Map(entries) => entries,
        Value::Scalar(_) | Value::List(_) => {
            let message =
                "a configuration is words with values, such as `nodeport-addresses: primary`".to_owned();
            return (settings, vec![Problem { place: lines.at(root.line), message }]);
        }
    };
    for (key, node) in entries {
        let place = lines.at(key.line);
        match setting(&key.text, &node, words) {
            Ok(values) => settings.push(Setting { word: key.text, values, source: Source::File(place) }),
            Err(message) => problems.push(Problem { place, message }),
        }
    }
    (settings, problems)
}

fn setting(key: &str, node: &Node, words: &Words<'_>) -> Result<Vec<String>, String> {
    let Some(arg) = words.find(key) else { return Err(unknown(key, words)) };
    let values = match &node.value {
        Value::Scalar(text) => vec![text.clone()],
        Value::Null => return Err(format!("{key} has no value: leave the word out for its default")),
        Value::Map(_) => return Err(format!("{key} takes no words of its own")),
        Value::List(items) if items.is_empty() => {
            return Err(format!("{key} is an empty list: leave the word out for its default"));
        }
        Value::List(items) => {
            let texts = items.iter().map(|item| item.text().map(str::to_owned));
            let texts: Option<Vec<_>> = texts.collect();
            let texts = texts.ok_or_else(|| format!("{key} is a list of texts, and one is none"))?;
            match Form::of(arg) {
                Form::Each => texts,
                Form::Commas => vec![texts.join(",")],
                Form::Switch | Form::Number | Form::Text => {
                    return Err(format!("{key} takes one value, not a list"));
                }
            }
        }
    };
    Ok(values)
}

fn unknown(key: &str, words: &Words<'_>) -> String {
    if key == "config" {
        return "a configuration file cannot name another one".to_owned();
    }
    if ["apiVersion", "kind"].contains(&key) {
        return format!(
            "{key:?} is no word of the configuration but of Kubernetes' objects: kube-proxy's own configuration is for \
             --kube-proxy-config"
        );
    }
    match words.nearest(key) {
        Some(word) => format!("{key:?} is no word of the configuration: did you mean {word}?"),
        None => format!("{key:?} is no word of the configuration"),
    }
}
