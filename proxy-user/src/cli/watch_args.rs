//! The command line of what is watched live: `trace` and `top`.

use super::{
    args::{Output, PinArgs},
    span::Span,
    top::Sort,
    trace::{Addresses, Outcome, Protocol, ServiceFilter},
};
use clap::Args as ClapArgs;

/// Headings of `--help`.
const SHOWN: &str = "What is shown";
const END: &str = "When it ends";

/// What [`super::args::Command::Trace`] shows.
pub const TRACE_EXAMPLES: &str = "\
Example:
  shunt trace
  shunt trace --service default/web:http --outcome rejected,dropped
  shunt trace --address 10.96.0.0/16 --port 443 -o json --for 1m

Exit codes: 0 it was ended, 1 somebody else watches or the maps are gone, 2 wrong usage or no agent has run here";

/// What [`super::args::Command::Top`] shows.
pub const TOP_EXAMPLES: &str = "\
Example:
  shunt top
  shunt top --sort bytes --interval 10s
  shunt top --once -o json";

/// `shunt trace`.
#[derive(Debug, ClapArgs)]
pub struct TraceArgs {
    /// Only what comes from or goes to these addresses, before or after.
    #[arg(long, value_name = "IP|CIDR,...", value_delimiter = ',', help_heading = SHOWN)]
    pub address: Vec<Addresses>,
    /// Only what comes from or goes to these ports, before or after.
    #[arg(long, value_name = "PORT,...", value_delimiter = ',', help_heading = SHOWN)]
    pub port: Vec<u16>,
    /// Only what is meant for these Services, or for their ports of these names.
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT],...", value_delimiter = ',', help_heading = SHOWN)]
    pub service: Vec<ServiceFilter>,
    /// Only what ended so.
    #[arg(long, value_enum, value_name = "OUTCOME,...", value_delimiter = ',', help_heading = SHOWN)]
    pub outcome: Vec<Outcome>,
    /// Only these protocols.
    #[arg(long, value_enum, value_name = "PROTOCOL,...", value_delimiter = ',', help_heading = SHOWN)]
    pub protocol: Vec<Protocol>,
    /// After so many decisions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = END)]
    pub count: Option<u64>,
    /// After so long: 500ms, 10s, 5m, 1h.
    #[arg(long = "for", value_name = "DURATION", help_heading = END)]
    pub time: Option<Span>,
    /// Format; JSON is one object in each line.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub pins: PinArgs,
}

/// `shunt top`.
#[derive(Debug, ClapArgs)]
pub struct TopArgs {
    /// Time between two tables: 500ms, 10s, 5m.
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    pub interval: Span,
    /// Print one table after one interval, and end.
    #[arg(long)]
    pub once: bool,
    /// What comes first: what had more of it in the last interval, then since the start.
    #[arg(long, value_enum, default_value_t)]
    pub sort: Sort,
    /// Service ports that are shown.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Format; JSON is one object in each line, one for each interval.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub pins: PinArgs,
}
