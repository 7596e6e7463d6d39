//! The command line of `shunt config`.

use crate::cli::{args::Output, run_args::RunArgs};
use clap::{Args as ClapArgs, Subcommand};

/// What [`super::super::args::Command::Config`] shows.
pub const CONFIG_EXAMPLES: &str = "\
Example:
  shunt config check --config /etc/shunt/config.yaml
  shunt config show --kube-proxy-config kube-proxy.yaml > config.yaml";

const CHECK_EXAMPLES: &str = "\
Example:
  shunt config check --config /etc/shunt/config.yaml
  kubectl -n kube-system get configmap kube-proxy -o yaml > kube-proxy.yaml
  shunt config check --kube-proxy-config kube-proxy.yaml

Exit codes: 0 `shunt run` would start with it, 1 something in the files is wrong, 2 wrong usage or no such file";

const SHOW_EXAMPLES: &str = "\
Example:
  shunt config show --config /etc/shunt/config.yaml
  shunt config show --kube-proxy-config kube-proxy.yaml > config.yaml

Exit codes: 0 done, 2 wrong usage, or something in the files is wrong";

/// `shunt config`.
#[derive(Debug, ClapArgs)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Its commands.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the files, and say what would be used of them and what not.
    ///
    /// Takes the options of `shunt run`, and touches nothing.
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Box<ConfigurationArgs>),
    /// Print the whole configuration as a file for --config, each word with where its value comes from.
    ///
    /// Takes the options of `shunt run`, and touches nothing.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Box<ConfigurationArgs>),
}

/// `shunt config check` and `show`: the options of `shunt run`.
#[derive(Debug, ClapArgs)]
pub struct ConfigurationArgs {
    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub run: RunArgs,
}
