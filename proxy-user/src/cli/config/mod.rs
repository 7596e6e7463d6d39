//! The agent's configuration: what the command line, the environment and two files come to.
//!
//! Files are turned into options and parsed by clap with the others, so a word means what its option means and an
//! error is the option's own, with the line of the file. Of two values of one word, the first of this order counts:
//! command line, environment, `--config`, `--kube-proxy-config`, default.

mod args;
mod command;
mod effective;
mod file;
mod kube_proxy;
mod parse;
mod place;
mod resolve;
#[cfg(test)]
mod tests;
mod tree;
mod words;

pub use args::{CONFIG_EXAMPLES, ConfigArgs};
pub use command::config;
pub use effective::Configuration;
pub use parse::{log_ignored, parse};
