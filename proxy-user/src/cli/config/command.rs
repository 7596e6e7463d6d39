//! `shunt config`: says what the agent would be told, and touches nothing.

use super::{args::ConfigArgs, args::ConfigCommand, effective::Configuration};
use crate::cli::args::Output;
use std::{fmt::Write as _, io::Write as _, process::ExitCode};

/// Prints what the files come to. Exit code 1 from `check` if something in them is wrong.
///
/// # Errors
/// Of the output.
pub fn config(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let (args, text): (_, fn(&Configuration) -> String) = match &args.command {
        ConfigCommand::Check(args) => (args, check),
        ConfigCommand::Show(args) => (args, show),
    };
    let configuration = &args.run.configuration;
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, &configuration.json_with_sources())?;
            writeln!(out)?;
        }
        Output::Table => {
            out.write_all(text(configuration).as_bytes())?;
            configuration.problems.iter().for_each(|problem| eprintln!("shunt: {problem}"));
        }
    }
    Ok(ExitCode::from(u8::from(!configuration.problems.is_empty())))
}

/// What would be used, and what not.
fn check(configuration: &Configuration) -> String {
    let mut text = String::new();
    let used = configuration.yaml(true);
    if !used.is_empty() {
        let _ = writeln!(text, "# Used; every other word has its default:\n{used}");
    }
    unused(&mut text, configuration);
    let _ = match configuration.problems.len() {
        0 => writeln!(text, "# shunt run would start with this."),
        count => writeln!(text, "# shunt run would refuse this: {count} to be mended."),
    };
    text
}

fn show(configuration: &Configuration) -> String {
    let mut text =
        "# The configuration of shunt run. Beside each word: where its value comes from.\n".to_owned();
    text.push_str(&configuration.yaml(false));
    if !configuration.ignored.is_empty() {
        text.push('\n');
        unused(&mut text, configuration);
    }
    text
}

/// Comments about what is not used, what somebody may miss first.
fn unused(text: &mut String, configuration: &Configuration) {
    for (matters, title) in
        [(true, "# Not used, and different for it:"), (false, "# Not used, and not missed:")]
    {
        let mut lines = configuration.ignored.iter().filter(|ignored| ignored.matters == matters).peekable();
        if lines.peek().is_some() {
            let _ = writeln!(text, "{title}");
            for line in lines {
                let _ = writeln!(text, "#   {line}");
            }
            text.push('\n');
        }
    }
}
