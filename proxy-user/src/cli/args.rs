//! The command line.

use crate::writer::Capacities;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// A kube-proxy replacement: eBPF balances Service connections in constant time, and one endpoint
/// change costs a few memory stores.
#[derive(Debug, Parser)]
#[command(
    name = "shunt",
    version,
    propagate_version = true,
    after_help = "Example:\n  sudo shunt demo --manifests examples/"
)]
pub struct Args {
    /// What to log: error, warn, info, debug, trace, or a tracing filter.
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL", value_parser = filter)]
    pub log: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow manifests and keep this node's maps true to them.
    ///
    /// Stays up until SIGTERM, SIGINT or SIGHUP. Ending it leaves the dataplane working, as kube-proxy
    /// leaves its rules; the next run takes over what is pinned and writes only what differs.
    #[command(after_help = "Example:\n  shunt run --manifests /etc/shunt/ --node $(hostname)")]
    Run(RunArgs),
    /// Show what a node would program, without touching the kernel.
    #[command(after_help = "Example:\n  shunt plan --manifests examples/ --node lab-node -o json")]
    Plan(PlanArgs),
    /// Show what the kernel holds now, in the format of `plan`: a diff of the two shows drift.
    #[command(
        after_help = "Example:\n  diff <(shunt plan --manifests /etc/shunt/ --node n1 -o json) <(shunt dump -o json)"
    )]
    Dump(DumpArgs),
    /// Show whether the programs are attached, how full the maps are, and what was counted.
    #[command(after_help = "Example:\n  shunt status")]
    Status(StatusArgs),
    /// Show Shunt at work in a laboratory of network namespaces, and remove it again.
    #[command(after_help = "Example:\n  shunt demo --manifests examples/")]
    Demo(DemoArgs),
}

/// `shunt run`.
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    pub pins: PinArgs,
    /// The cgroup v2 directory whose sockets are served [default: the root of the cgroup v2 mount].
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    #[command(flatten)]
    pub capacities: CapacityArgs,
}

/// `shunt plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    /// Zone of the node, in place of the one that a Node manifest names.
    #[arg(long)]
    pub zone: Option<String>,
    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub capacities: CapacityArgs,
}

/// `shunt dump`.
#[derive(Debug, ClapArgs)]
pub struct DumpArgs {
    #[command(flatten)]
    pub pins: PinArgs,
    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `shunt status`.
#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    #[command(flatten)]
    pub pins: PinArgs,
    /// The cgroup v2 directory to ask about [default: the root of the cgroup v2 mount].
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// `shunt demo`.
#[derive(Debug, ClapArgs)]
pub struct DemoArgs {
    /// The manifests to run on: those of Shunt's `examples/` directory, or of the same addresses.
    #[arg(long, value_name = "PATH", default_value = "examples")]
    pub manifests: PathBuf,
}

/// Refuses what a subscriber would pass over. A lone word that is no level would be the name of a module,
/// and silence the log.
fn filter(text: &str) -> Result<String, String> {
    if text.contains(['=', ',', '[']) {
        EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    } else {
        text.parse::<LevelFilter>().map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

/// Where the manifests are, and which node is meant.
#[derive(Debug, ClapArgs)]
pub struct ManifestArgs {
    /// Files or directories of YAML or JSON manifests (Service, EndpointSlice, Node, List).
    #[arg(long = "manifests", value_name = "PATH", num_args = 1.., required = true)]
    pub paths: Vec<PathBuf>,
    /// Name of this node: `nodeName` of its endpoints, `metadata.name` of its Node.
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub node: String,
}

/// Where the maps and links are pinned.
#[derive(Debug, ClapArgs)]
pub struct PinArgs {
    /// Directory on a bpffs where maps and links are pinned.
    #[arg(long, value_name = "PATH", default_value = "/sys/fs/bpf/shunt")]
    pub pin_path: PathBuf,
}

/// Sizes of maps that are made anew; maps that are taken over keep theirs.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct CapacityArgs {
    /// Frontends of each family: one per address and port, and one more per ClusterIP.
    #[arg(long, value_name = "N", default_value_t = Capacities::default().frontends, value_parser = clap::value_parser!(u32).range(2..=16_777_216))]
    pub max_frontends: u32,
    /// Service ports, counted once per family.
    #[arg(long, value_name = "N", default_value_t = Capacities::default().services, value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub max_services: u32,
    /// Endpoints, counted once per service port.
    #[arg(long, value_name = "N", default_value_t = Capacities::default().backends, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub max_endpoints: u32,
    /// UDP sockets and connections that are remembered at a time.
    #[arg(long, value_name = "N", default_value_t = Capacities::default().sockets, value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    pub max_sockets: u32,
}

impl From<CapacityArgs> for Capacities {
    /// Slots are twice the endpoints, since a set takes the next power of two; a name takes at most
    /// eight cells in most clusters.
    fn from(args: CapacityArgs) -> Self {
        Self {
            frontends: args.max_frontends,
            services: args.max_services,
            slots: args.max_endpoints.saturating_mul(2).next_power_of_two(),
            backends: args.max_endpoints,
            name_cells: args.max_services.saturating_mul(8).next_power_of_two().max(128),
            sockets: args.max_sockets,
        }
    }
}

/// Format of what is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}
