//! Several layers of settings become one: the first that has a word gives its value, and clap says what that means.

use super::{
    file::Setting,
    place::{Ignored, Problem, Source},
    words::Words,
};
use clap::{
    Arg, ArgMatches, Command,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};
use std::ffi::OsString;

/// A word that has a value already, and who gave it.
pub(super) struct Given<'a> {
    pub(super) arg: &'a Arg,
    pub(super) source: Source,
}

/// What the command line and the environment gave.
pub(super) fn given<'a>(words: &Words<'a>, matches: &ArgMatches) -> Vec<Given<'a>> {
    let source = |arg: &Arg| match matches.value_source(arg.get_id().as_str())? {
        ValueSource::CommandLine => Some(Source::CommandLine),
        ValueSource::EnvVariable => {
            let variable = arg.get_env().map(|variable| variable.to_string_lossy().into_owned());
            Some(Source::Environment(variable.unwrap_or_default()))
        }
        _ => None,
    };
    words.iter().filter_map(|arg| Some(Given { arg, source: source(arg)? })).collect()
}

/// Adds the settings of a lower layer whose words have no value yet. What cannot stand beside a word of a higher layer
/// is left out and named: who says `--manifests` wants no kubeconfig, whatever a file says.
pub(super) fn add_layer<'a>(
    words: &Words<'a>,
    given: &mut Vec<Given<'a>>,
    layer: Vec<Setting>,
    ignored: &mut Vec<Ignored>,
) -> Vec<Setting> {
    let higher = given.len();
    let mut taken = Vec::new();
    for setting in layer {
        let Some(arg) = words.find(&setting.word) else { continue };
        if given.iter().any(|given| given.arg.get_id() == arg.get_id()) {
            continue;
        }
        match given[..higher].iter().find(|given| words.exclude_each_other(given.arg, arg)) {
            Some(rival) => ignored.extend(out_of_place(&setting, rival)),
            None => {
                given.push(Given { arg, source: setting.source.clone() });
                taken.push(setting);
            }
        }
    }
    taken
}

fn out_of_place(setting: &Setting, rival: &Given<'_>) -> Option<Ignored> {
    let (place, what) = match &setting.source {
        Source::File(place) => (place, &setting.word),
        Source::KubeProxy { place, field } => (place, field),
        _ => return None,
    };
    let word = rival.arg.get_long().unwrap_or_default();
    let why = format!("{word} is given ({})", rival.source);
    Some(Ignored { place: place.clone(), what: what.clone(), why, matters: false })
}

/// What clap does not take.
#[derive(Default)]
pub(super) struct Refused {
    pub(super) words: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

/// Parses the command line with these settings as options behind it. A setting that clap refuses becomes a problem, and
/// the rest is parsed without it, so that all problems are named at once.
///
/// # Errors
/// Of clap, about the command line itself.
pub(super) fn parse(
    command: &Command,
    words: &Words<'_>,
    argv: &[OsString],
    mut settings: Vec<Setting>,
) -> Result<(ArgMatches, Refused), clap::Error> {
    let mut refused = Refused::default();
    loop {
        let options = settings.iter().flat_map(|setting| {
            setting.values.iter().map(|value| OsString::from(format!("--{}={value}", setting.word)))
        });
        // Nothing stands behind `--` that an option could be confused with: `shunt run` takes options only.
        let argv = argv.iter().filter(|arg| *arg != "--").cloned();
        let error = match command.clone().try_get_matches_from(argv.chain(options)) {
            Ok(matches) => return Ok((matches, refused)),
            Err(error) => error,
        };
        let named = named(&error);
        let culprit = named.iter().filter_map(|shown| words.shown_as(shown)?.get_long()).find_map(|word| {
            let index = settings.iter().position(|setting| setting.word == word)?;
            Some((index, settings[index].source.place()?.clone()))
        });
        let Some((index, place)) = culprit else { return Err(error) };
        refused.problems.push(Problem { place, message: message(&error) });
        refused.words.push(settings.remove(index).word);
    }
}

/// The arguments that an error is about, as clap shows them.
fn named(error: &clap::Error) -> Vec<String> {
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().flat_map(texts).collect()
}

/// An error's first paragraph on one line; usage and hints are about command lines.
fn message(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let text = lines.collect::<Vec<_>>().join(" ");
    text.strip_prefix("error: ").unwrap_or(&text).to_owned()
}
