//! The options of `shunt run`. Every one of them is a word of the configuration file too: see `config`.

use super::{
    args::{CapacityArgs, MANIFESTS, PinArgs, RuleArgs, name},
    config::Configuration,
    duration::KubeDuration,
    exit::Usage,
    packet_args::PacketArgs,
};
use clap::Args as ClapArgs;
use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// Headings of `--help`.
const CLUSTER: &str = "With an API server";
const SERVERS: &str = "What the agent answers over HTTP";

/// What [`super::args::Command::Run`] shows.
pub const RUN_EXAMPLES: &str = "\
Example:
  shunt run                                             in a Pod: credentials of its ServiceAccount
  shunt run --kubeconfig /etc/kubernetes/shunt.conf --api-server https://10.0.0.2:6443
  shunt run --config /etc/shunt/config.yaml --kube-proxy-config /var/lib/kube-proxy/config.conf
  shunt run --manifests /etc/shunt/ --node n1           without a cluster

Every option can stand in the file of --config, under its name without the dashes. An option that is given
here comes first, then the environment, the file of --config, that of --kube-proxy-config, and the default:
`shunt config show` with the same options says what comes of it.";

/// `shunt run`.
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// A YAML file of these options, under their names without the dashes; `shunt config check` checks it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// kube-proxy's own configuration (KubeProxyConfiguration, or the ConfigMap that holds it): what applies here is
    /// obeyed, the rest is named.
    #[arg(long, value_name = "FILE")]
    pub kube_proxy_config: Option<PathBuf>,
    /// Name of this node: `metadata.name` of its Node, `nodeName` of its endpoints [default with an API server: the
    /// name of the host, in lower case].
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = name())]
    pub node: Option<String>,
    #[command(flatten)]
    pub pins: PinArgs,
    /// The cgroup v2 directory whose sockets are served [default: the root of the cgroup v2 mount].
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Follow these files or directories of YAML or JSON manifests (Service, EndpointSlice, Node, ServiceCIDR, List) in
    /// place of an API server.
    #[arg(
        long,
        value_name = "PATH",
        num_args = 1..,
        conflicts_with_all = ["kubeconfig", "context", "api_server", "startup_spread", "relist_guard"],
        help_heading = MANIFESTS
    )]
    pub manifests: Vec<PathBuf>,
    #[command(flatten)]
    pub rules: RuleArgs,
    #[command(flatten)]
    pub packets: PacketArgs,
    #[command(flatten)]
    pub servers: ServerArgs,
    #[command(flatten)]
    pub capacities: CapacityArgs,
    /// All of this as it was come to, with where each value comes from.
    #[arg(skip)]
    pub configuration: Configuration,
}

/// Where Services and EndpointSlices come from.
#[derive(Debug)]
pub enum Source {
    /// Files and directories.
    Manifests(Vec<PathBuf>),
    /// An API server.
    Cluster(ClusterArgs),
}

impl RunArgs {
    /// Where Services come from: manifests if any are named.
    pub fn source(&self) -> Source {
        if self.manifests.is_empty() {
            Source::Cluster(self.cluster.clone())
        } else {
            Source::Manifests(self.manifests.clone())
        }
    }

    /// The name of this node, which `config` has found.
    ///
    /// # Errors
    /// [`Usage`] where nobody gave one and the host has none.
    pub fn node_name(&self) -> Result<&str, Usage> {
        let none = || Usage("this node has no name: give --node <NAME>".to_owned());
        self.node.as_deref().ok_or_else(none)
    }
}

/// The host's name as kube-proxy and kubelet take it for the node's: without blanks around it, in lower case.
pub fn host_name() -> Option<String> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_str().ok()?.trim().to_lowercase();
    (!name.is_empty()).then_some(name)
}

/// How the API server is reached and spared.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = CLUSTER)]
pub struct ClusterArgs {
    /// The kubeconfig with the API server and credentials [default: the ServiceAccount of this Pod]. The variable
    /// KUBECONFIG is not heeded.
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// Which context of the kubeconfig [default: its current-context].
    #[arg(long, value_name = "NAME", value_parser = name())]
    pub context: Option<String>,
    /// The API server, in place of the one that the credentials name. Given more than once, they are tried one after
    /// the other. It must not be a ClusterIP: this node would need itself to begin.
    #[arg(long, value_name = "URL", value_parser = api_server)]
    pub api_server: Vec<http::Uri>,
    /// The first lists are asked for at a random moment within this time where a former agent's maps serve
    /// meanwhile, so that many nodes that start at once do not ask at once. 0 asks at once.
    #[arg(long, value_name = "DURATION", default_value_t = KubeDuration(STARTUP_SPREAD))]
    pub startup_spread: KubeDuration,
    /// A list that lacks more than this share of the Services or EndpointSlices that are known, or all of them, is held
    /// back until a second list confirms it, a minute later, or SIGUSR1 does. 100 believes every list.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub relist_guard: u8,
}

/// 5,000 nodes that start at once ask 500 times per second for each kind then, which an API server answers from its
/// cache; and no node sees changes later than it would with kube-proxy, whose start takes about as long.
const STARTUP_SPREAD: Duration = Duration::from_secs(10);

/// Refuses what is no address of an API server.
fn api_server(text: &str) -> Result<http::Uri, String> {
    let wrong = || "write it as https://10.0.0.2:6443".to_owned();
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    // Credentials in it would not be used, and stand in every line that names the server.
    let bare = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if is_web && bare && has_host && uri.query().is_none() { Ok(uri) } else { Err(wrong()) }
}

/// Where the agent is asked how it is.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = SERVERS)]
pub struct ServerArgs {
    /// Where /healthz, /livez and /readyz are answered; empty for nowhere. Load balancers ask there.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:10256", value_parser = Listen::from_str)]
    pub healthz_address: Listen,
    /// Where /metrics, /proxyMode and /configz are answered; empty for nowhere.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:10249", value_parser = Listen::from_str)]
    pub metrics_address: Listen,
}

/// Where to listen, if anywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listen(pub Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let address = text.parse().map_err(|_| "write it as 127.0.0.1:10249 or [::1]:10249".to_owned());
        address.map(|address| Self(Some(address)))
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_server_has_a_scheme_and_a_host() {
        for right in
            ["https://10.0.0.2:6443", "https://[fd00::2]:6443", "http://127.0.0.1:8001/prefix", "https://k8s"]
        {
            assert!(api_server(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "10.0.0.2:6443",
            "10.0.0.2",
            "ftp://k8s",
            "https://",
            "https:///x",
            "https://k8s/?a=b",
            "https://me:secret@k8s:6443",
        ] {
            assert!(api_server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_empty_address_listens_nowhere() {
        assert_eq!("".parse(), Ok(Listen(None)));
        assert_eq!("[::]:10256".parse(), Ok(Listen("[::]:10256".parse().ok())));
        for wrong in ["10256", ":10256", "0.0.0.0", "localhost:10249", "0.0.0.0:65536"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_host_name_is_a_nodes_name() {
        let name = host_name().unwrap();
        assert!(!name.is_empty() && name == name.trim().to_lowercase(), "{name}");
    }
}
