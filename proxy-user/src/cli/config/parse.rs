//! The command line with the files that it names.

use super::{
    args::ConfigCommand,
    effective::Configuration,
    file::{self, Setting},
    kube_proxy,
    place::{Ignored, Lines, Problem, Source},
    resolve,
    words::Words,
};
use crate::cli::{
    args::{Args, Command},
    run_args::{RunArgs, host_name},
};
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use std::{ffi::OsString, fmt, fs, path::PathBuf};

/// Why there are no arguments.
#[derive(Debug)]
pub enum Failure {
    /// Of the command line; or help was asked for.
    Usage(clap::Error),
    /// Of files.
    Files(Vec<Problem>),
    /// A file that cannot be read.
    Unreadable(String),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Usage and hints are for whoever typed it.
            Self::Usage(error) => {
                let text = error.to_string();
                f.write_str(text.lines().next().unwrap_or_default().trim_start_matches("error: "))
            }
            Self::Files(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                f.write_str(&problems.join("; "))
            }
            Self::Unreadable(text) => f.write_str(text),
        }
    }
}

impl Failure {
    /// Says it, and returns the exit code of wrong usage.
    pub fn report(&self) -> u8 {
        match self {
            Self::Usage(error) => {
                // A closed output is nobody's concern any more.
                let _ = error.print();
                u8::try_from(error.exit_code()).unwrap_or(2)
            }
            Self::Files(problems) => {
                problems.iter().for_each(|problem| eprintln!("shunt: {problem}"));
                2
            }
            Self::Unreadable(text) => {
                eprintln!("shunt: {text}");
                2
            }
        }
    }
}

/// Parses a command line. Those of the agent come with their configuration.
///
/// # Errors
/// What is wrong with it, or with its files.
pub fn parse(argv: &[OsString]) -> Result<Args, Failure> {
    let mut command = Args::command();
    command.build();
    let first = command.clone().try_get_matches_from(argv)?;
    let Some((leaf, matches, is_check)) = agent(&command, &first) else {
        return Ok(Args::from_arg_matches(&first)?);
    };
    let words = Words::of(leaf);
    let mut given = resolve::given(&words, matches);
    let (mut settings, mut ignored, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(path) = matches.get_one::<PathBuf>("config") {
        let (layer, wrong) = file::read(&text(path)?, &Lines::of(path), &words);
        problems.extend(wrong);
        settings.extend(resolve::add_layer(&words, &mut given, layer, &mut ignored));
    }
    let named = settings.iter().find(|setting: &&Setting| setting.word == "kube-proxy-config");
    let named = named.and_then(|setting| setting.values.first()).map(PathBuf::from);
    if let Some(path) = matches.get_one::<PathBuf>("kube_proxy_config").cloned().or(named) {
        let translated = kube_proxy::read(&text(&path)?, &Lines::of(&path));
        problems.extend(translated.problems);
        ignored.extend(translated.ignored);
        settings.extend(resolve::add_layer(&words, &mut given, translated.settings, &mut ignored));
    }
    if !given.iter().any(|given| given.arg.get_long() == Some("manifests")) {
        let node = host_name().map(|name| Setting {
            word: "node".to_owned(),
            values: vec![name],
            source: Source::HostName,
        });
        settings.extend(resolve::add_layer(&words, &mut given, node.into_iter().collect(), &mut ignored));
    }
    let (matches, refused) = resolve::parse(&command, &words, argv, settings)?;
    problems.extend(refused.problems);
    given.retain(|given| !refused.words.iter().any(|word| given.arg.get_long() == Some(word)));
    let Some((_, of_agent, _)) = agent(&command, &matches) else {
        return Ok(Args::from_arg_matches(&matches)?);
    };
    let mut configuration = Configuration::new(&words, of_agent, &given);
    let mut args = Args::from_arg_matches(&matches)?;
    let Some(run) = args.run_args() else { return Ok(args) };
    check(run, &given, &mut problems, leaf)?;
    problems.sort_by(|one, other| one.place.cmp(&other.place));
    if !problems.is_empty() && !is_check {
        return Err(Failure::Files(problems));
    }
    (configuration.ignored, configuration.problems) = (ignored, problems);
    run.configuration = configuration;
    Ok(args)
}

/// The command that has the agent's options, its matches, and whether it is `shunt config check`.
fn agent<'a>(
    command: &'a clap::Command,
    matches: &'a ArgMatches,
) -> Option<(&'a clap::Command, &'a ArgMatches, bool)> {
    let (name, matches) = matches.subcommand()?;
    let command = command.find_subcommand(name)?;
    match name {
        "run" | "doctor" => Some((command, matches, false)),
        "config" => {
            let (name, matches) = matches.subcommand()?;
            Some((command.find_subcommand(name)?, matches, name == "check"))
        }
        _ => None,
    }
}

fn text(path: &PathBuf) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::Unreadable(format!("{}: {error}", path.display())))
}

/// What clap cannot know, since a file may give the other word.
fn check(
    run: &RunArgs,
    given: &[resolve::Given<'_>],
    problems: &mut Vec<Problem>,
    command: &clap::Command,
) -> Result<(), Failure> {
    let source =
        |word: &str| given.iter().find(|given| given.arg.get_long() == Some(word)).map(|given| &given.source);
    let mut refuse = |word: &str, message: String| match source(word).and_then(Source::place) {
        Some(place) => {
            problems.push(Problem { place: place.clone(), message });
            Ok(())
        }
        None => {
            let error = command.clone().error(clap::error::ErrorKind::MissingRequiredArgument, message);
            Err(Failure::Usage(error))
        }
    };
    if !run.manifests.is_empty() && run.node.is_none() {
        refuse(
            "manifests",
            "manifests need a node: give --node <NAME>, whose endpoints are this node's own".to_owned(),
        )?;
    }
    if run.cluster.context.is_some() && run.cluster.kubeconfig.is_none() {
        refuse("context", "a context is one of a kubeconfig: give --kubeconfig <PATH>".to_owned())?;
    }
    Ok(())
}

impl Args {
    /// The agent's options, of a command that has them.
    fn run_args(&mut self) -> Option<&mut RunArgs> {
        match &mut self.command {
            Command::Run(run) => Some(run),
            Command::Doctor(doctor) => Some(&mut doctor.run),
            Command::Config(config) => match &mut config.command {
                ConfigCommand::Check(args) | ConfigCommand::Show(args) => Some(&mut args.run),
            },
            _ => None,
        }
    }
}

/// Logs what is not used.
pub fn log_ignored(ignored: &[Ignored]) {
    for line in ignored {
        if line.matters {
            tracing::warn!("{line}");
        } else {
            tracing::info!("{line}");
        }
    }
}
