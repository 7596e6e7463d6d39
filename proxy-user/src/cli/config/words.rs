//! The words of the configuration: the options of `shunt run`, as clap knows them. Nothing is listed twice, so a new
//! option is a word at once.

use clap::{Arg, ArgAction, Command};
use std::any::TypeId;

/// Options that are no words: a file cannot name another, and the last are those of `shunt config` and `shunt doctor`.
const NOT_IN_FILES: [&str; 6] = ["config", "help", "version", "output", "repair", "no-self-test"];

/// Every word, in the order of `--help`.
pub(super) struct Words<'a> {
    command: &'a Command,
    words: Vec<&'a Arg>,
}

/// How a word's value is written in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// A text, or a list of texts, which the option takes with commas between.
    Commas,
    /// A text, or a list of texts, which the option takes one by one.
    Each,
}

impl<'a> Words<'a> {
    /// Those of a command that has the options of `shunt run`, once it is built.
    pub(super) fn of(command: &'a Command) -> Self {
        let is_word = |arg: &&Arg| arg.get_long().is_some_and(|long| !NOT_IN_FILES.contains(&long));
        Self { command, words: command.get_arguments().filter(is_word).collect() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Arg> {
        self.words.iter().copied()
    }

    pub(super) fn find(&self, word: &str) -> Option<&'a Arg> {
        self.iter().find(|arg| arg.get_long() == Some(word))
    }

    /// The argument that clap names so in its errors, such as `--zone <ZONE>`.
    pub(super) fn shown_as(&self, shown: &str) -> Option<&'a Arg> {
        self.iter().find(|arg| arg.to_string() == shown)
    }

    /// Whether only one of the two can be given.
    pub(super) fn exclude_each_other(&self, one: &Arg, other: &Arg) -> bool {
        let excludes = |one: &Arg, other: &Arg| {
            self.command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id())
        };
        excludes(one, other) || excludes(other, one)
    }

    /// The word that somebody may have meant; none if more than half of the letters differ.
    pub(super) fn nearest(&self, text: &str) -> Option<&'a str> {
        let letters = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
        let text = letters(text);
        let words = self.iter().filter_map(Arg::get_long).map(|word| (distance(&letters(word), &text), word));
        let (distance, word) = words.min_by_key(|(distance, _)| *distance)?;
        (distance * 2 <= text.chars().count()).then_some(word)
    }
}

impl Form {
    pub(super) fn of(arg: &Arg) -> Self {
        let kind = arg.get_value_parser().type_id();
        // The names of values say what they are, to people and here.
        let has_commas =
            || arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.ends_with(",...")));
        if matches!(arg.get_action(), ArgAction::Append) {
            Self::Each
        } else if kind == TypeId::of::<bool>() {
            Self::Switch
        } else if kind == TypeId::of::<u32>() || kind == TypeId::of::<u8>() {
            Self::Number
        } else if has_commas() {
            Self::Commas
        } else {
            Self::Text
        }
    }
}

/// How many letters are to be changed, added or left out to get from one text to the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for letter in one.chars() {
        let mut diagonal = row[0];
        row[0] += 1;
        for (column, wanted) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_two_words() {
        for (one, other, wanted) in [
            ("", "", 0),
            ("abc", "", 3),
            ("abc", "abc", 0),
            ("abc", "adc", 1),
            ("abc", "bc", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), wanted, "{one} {other}");
            assert_eq!(distance(other, one), wanted, "{other} {one}");
        }
    }
}
