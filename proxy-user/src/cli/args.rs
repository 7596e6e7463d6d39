//! The command line.

use super::{
    asked::{Asker, Destination},
    cleanup::{CLEANUP_EXAMPLES, CleanupArgs},
    config::{CONFIG_EXAMPLES, ConfigArgs},
    doctor::{DOCTOR_EXAMPLES, DoctorArgs},
    quantity::MemoryQuantity,
    run_args::{RUN_EXAMPLES, RunArgs},
    watch_args::{TOP_EXAMPLES, TRACE_EXAMPLES, TopArgs, TraceArgs},
};
use crate::{
    engine::Rules,
    kernel::Machine,
    select::NodePortAddresses,
    writer::{Capacities, Fixed, Limits},
};
use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::{net::IpAddr, path::PathBuf, str::FromStr as _};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Headings of `--help`.
pub const MANIFESTS: &str = "With manifests";
const RULES: &str = "Rules of the node";
const SIZES: &str = "Sizes of maps";

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
    /// Follow the cluster's Services, or manifests, and keep this node's maps true to them.
    ///
    /// Stays up until SIGTERM, SIGINT or SIGHUP. Ending it leaves the dataplane working, as kube-proxy
    /// leaves its rules; the next run takes over what is pinned and writes only what differs.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Check or show the configuration of `shunt run`, without running it.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArgs),
    /// Show what a node would program, without touching the kernel.
    #[command(after_help = "Example:\n  shunt plan --manifests examples/ --node lab-node -o json")]
    Plan(PlanArgs),
    /// Say what a node does with a new connection, and by which rule.
    ///
    /// Runs the datapath's own decision over the tables: over those in the kernel, or with --manifests over
    /// those that a node would program, without touching the kernel.
    ///
    /// What comes as packets (from other machines, SCTP, load-balancer addresses with source ranges) is served on the
    /// devices that `shunt status` shows; the answer does not depend on which these are.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Show what the kernel holds now, in the format of `plan`: a diff of the two shows drift.
    #[command(
        after_help = "Example:\n  diff <(shunt plan --manifests /etc/shunt/ --node n1 -o json) <(shunt dump -o json)"
    )]
    Dump(DumpArgs),
    /// Show whether the programs are attached, how full the maps are, and what was counted.
    ///
    /// Devices are those of the network namespace where it is run: the node's.
    #[command(
        after_help = "Example:\n  shunt status\n\nExit codes: 0 all is in effect, 1 something is not, 2 wrong \
                            usage or no agent has run here"
    )]
    Status(StatusArgs),
    /// Say whether this node balances: one page, with what is wrong, what comes of it and what to do.
    ///
    /// Looks at the kernel, pins, attachments, the agent, maps, other proxies and sysctls, and dials a Service through
    /// the programs, without a packet that leaves a network namespace of its own. It takes the options of `shunt run`;
    /// those of an agent that runs are known without. With an API server or manifests, what the maps hold is compared.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Box<DoctorArgs>),
    /// Show decisions as they are made: what clients dial, where it goes, and why it is refused.
    ///
    /// Follows connections and the first datagrams of sockets, and the first packets of flows. It needs no running
    /// agent, and costs the node next to nothing while nobody watches. One can watch at a time.
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// Show which Services carry most, by connections and bytes.
    ///
    /// Counts from its own start on, or from when a service port was first seen.
    #[command(after_help = TOP_EXAMPLES)]
    Top(TopArgs),
    /// Detach every program and remove every pin of Shunt's from this node, or what kube-proxy left there.
    ///
    /// Connections that sockets made stay; those that came as packets end. No agent may be running. It is to run in the
    /// node's own network namespace.
    #[command(after_help = CLEANUP_EXAMPLES)]
    Cleanup(CleanupArgs),
    /// Mount a bpffs where the pin path lies, if none is there: below /sys/fs/bpf only.
    ///
    /// For nodes where nobody else does (systemd does, except in a container). `shunt run` does it too, but from within
    /// a container it would be that container's alone.
    #[command(after_help = "Example:\n  shunt mount-bpffs")]
    MountBpffs(PinArgs),
    /// Show Shunt at work in a laboratory of network namespaces, and remove it again.
    #[command(after_help = "Example:\n  shunt demo --manifests examples/")]
    Demo(DemoArgs),
}

/// What [`Command::Explain`] shows.
const EXPLAIN_EXAMPLES: &str = "\
Example:
  shunt explain 10.96.0.10:80 --from pod --manifests examples/ --node lab-node
  shunt explain '[fd00:10:96::53]:53/udp'
  shunt explain 10.96.0.10:80 --from external:203.0.113.9 -o json

Exit codes: 0 whatever the verdict, 1 a manifest is wrong, 2 wrong usage or no agent has run here";

/// `shunt plan`.
#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    #[command(flatten)]
    pub manifests: ManifestArgs,
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub capacities: CapacityArgs,
}

/// `shunt explain`. Rules are asked of manifests alone: maps of the kernel have them in them.
#[derive(Debug, ClapArgs)]
#[command(mut_group("RuleArgs", |group| group.requires("paths")))]
pub struct ExplainArgs {
    /// What is dialled: 10.96.0.10:80, [fd00::10]:80; with /udp or /sctp for another protocol than TCP.
    #[arg(value_name = "ADDRESS:PORT[/PROTOCOL]")]
    pub destination: Destination,
    /// Who dials: a pod of this node, the node itself (hostNetwork pods are the node), or a client on another
    /// machine. An address matters for source ranges and session affinity.
    #[arg(long, value_name = "pod[:IP]|node[:IP]|external[:IP]", default_value = "node")]
    pub from: Asker,
    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub pins: PinArgs,
    /// Ask about what a node would program for these files or directories of manifests, not about the kernel.
    #[arg(
        long = "manifests",
        value_name = "PATH",
        num_args = 1..,
        requires = "node",
        conflicts_with = "pin_path",
        help_heading = MANIFESTS
    )]
    pub paths: Vec<PathBuf>,
    /// Name of that node.
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = name(), help_heading = MANIFESTS)]
    pub node: Option<String>,
    #[command(flatten)]
    pub rules: RuleArgs,
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
    /// Files or directories of YAML or JSON manifests (Service, EndpointSlice, Node, ServiceCIDR, List).
    #[arg(long = "manifests", value_name = "PATH", num_args = 1.., required = true)]
    pub paths: Vec<PathBuf>,
    /// Name of this node: `nodeName` of its endpoints, `metadata.name` of its Node.
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = name())]
    pub node: String,
}

/// Refuses an empty name.
pub fn name() -> clap::builder::NonEmptyStringValueParser {
    clap::builder::NonEmptyStringValueParser::new()
}

/// What an operator decides for a node.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = RULES)]
pub struct RuleArgs {
    /// Zone of the node, in place of the one that its Node names.
    #[arg(long, value_name = "ZONE", value_parser = name())]
    pub zone: Option<String>,
    /// Addresses of the node that come before those that its Node names: the first of each family is the primary one,
    /// where NodePorts answer by default.
    #[arg(long, value_name = "IP,...", value_delimiter = ',', value_parser = node_ip)]
    pub node_ip: Vec<IpAddr>,
    /// Addresses of the node where NodePorts answer: the first of each family that its Node names (primary; none
    /// without a Node), every address of its interfaces (all), or those in these ranges. Ranges that leave out
    /// 127.0.0.1 or ::1 leave out that family's localhost.
    #[arg(
        long,
        value_name = "primary|all|CIDR,...",
        default_value_t = NodePortAddresses::default()
    )]
    pub nodeport_addresses: NodePortAddresses,
    /// Whether NodePorts answer on loopback addresses, to clients on the node itself.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true)]
    pub localhost_nodeports: bool,
    /// Whether externalIPs are served. Whoever may make a Service may take over an address with them
    /// (CVE-2020-8554).
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true)]
    pub external_ips: bool,
    /// Whether loadBalancerSourceRanges bind pods and the node too, as in kube-proxy; if not, only clients
    /// outside of the cluster, as in Cilium.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true)]
    pub source_ranges_in_cluster: bool,
}

/// Refuses what is no address of one node.
fn node_ip(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "write an IP address: 10.0.0.5 or fd00::5".to_owned())?;
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return Err("it is every node's, or nobody's".to_owned());
    }
    Ok(address)
}

impl From<&RuleArgs> for Rules {
    fn from(args: &RuleArgs) -> Self {
        Self {
            node_ports: args.nodeport_addresses.clone(),
            localhost_node_ports: args.localhost_nodeports,
            external_ips: args.external_ips,
            source_ranges_in_cluster: args.source_ranges_in_cluster,
        }
    }
}

/// Where the maps and links are pinned.
#[derive(Debug, ClapArgs)]
pub struct PinArgs {
    /// Directory on a bpffs where maps and links are pinned.
    #[arg(long, value_name = "PATH", default_value = "/sys/fs/bpf/shunt")]
    pub pin_path: PathBuf,
}

/// Sizes of maps. Those that nobody gives follow the node's memory and grow.
#[derive(Clone, Copy, Debug, ClapArgs)]
#[command(next_help_heading = SIZES)]
pub struct CapacityArgs {
    /// Most kernel memory that all maps together may grow to, but those of a size that is chosen [default: a
    /// thirty-second of the node's memory, 32Mi at least]. Maps begin small and grow as they fill.
    #[arg(long, value_name = "SIZE", value_parser = MemoryQuantity::from_str)]
    pub map_memory: Option<MemoryQuantity>,
    /// Frontends of each family, in maps that keep this size: one per address and port, and one more per ClusterIP and
    /// address of the node [default: as many as there are].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=16_777_216))]
    pub max_frontends: Option<u32>,
    /// Service ports, counted once per family, in maps that keep this size [default: as many as there are].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub max_services: Option<u32>,
    /// Endpoints, counted once per service port, in maps that keep this size [default: as many as there are].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub max_endpoints: Option<u32>,
    /// UDP sockets and connections that are remembered at a time, in maps that keep this size [default: as many as are
    /// in use].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    pub max_sockets: Option<u32>,
    /// Clients with session affinity that are remembered at a time, counted once per service port, in a map that keeps
    /// this size [default: as many as are in use].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    pub max_affinities: Option<u32>,
    /// Entries of flows of packets that are remembered at a time, two for each connection, in a map that keeps this size
    /// [default: as many as are in use].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=16_777_216))]
    pub max_flows: Option<u32>,
}

impl CapacityArgs {
    /// What maps may grow to, and their sizes at first.
    pub fn on(&self, machine: &Machine) -> (Limits, Capacities) {
        let fixed = Fixed {
            frontends: self.max_frontends,
            services: self.max_services,
            endpoints: self.max_endpoints,
            sockets: self.max_sockets,
            affinities: self.max_affinities,
            flows: self.max_flows,
        };
        let limits = machine.limits(self.map_memory.map(|MemoryQuantity(bytes)| bytes), fixed);
        (limits, limits.first(machine.memory))
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
