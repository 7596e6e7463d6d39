//! The form of a case file.
//!
//! ```yaml
//! rule: What holds, in words.
//! node: node-a                    # this node; the default
//! rules: {nodeport-addresses: all} # options of `shunt run`; their defaults go without saying
//! steps:                          # one after another; each is one change, programmed as a whole
//!   - when: what has changed, in words
//!     restart: true               # the agent ends, and another one takes over what is in the maps
//!     local-addresses: [10.0.0.1] # what is observed on the node's interfaces
//!     silent: [10.244.0.12:8080]  # endpoints where nobody listens, in the kernel
//!     delete: [Service/default/web, Node/node-a]
//!     apply: |                    # manifests; an object that was there before is replaced
//!       apiVersion: v1
//!     expect:
//!       warnings: [words]         # each is in one of the warnings, and there are no others
//!       conflicts: ["10.0.0.9:80/TCP: default/winner before default/loser"] # all of them
//!       writes: 0                 # how many writes to maps the change takes
//!       plan:                     # every service port, and of each the given fields of `shunt plan -o json`;
//!         - {name: web, cluster: [10.244.0.11:8080]} # namespace default, port "", TCP and IPv4 go without saying
//!       health:                   # every health check, and what a load balancer is answered
//!         - "default/web:32000/IPv4: 200, 1 ready"
//!       explain:                  # what becomes of a new connection
//!         - {dial: 10.96.0.10:80/TCP, from: pod, verdict: forward, endpoints: [10.244.0.11:8080]}
//!     dials:                      # connections that are really made, in this order
//!       - {to: 10.96.0.10:80/TCP, from: pod, affinity: new}
//!     flows:                      # TCP connections that are made, and go on until the case ends, in the kernel
//!       - {to: 10.96.0.10:80/TCP, from: pod}
//! ```
//!
//! After the last step every object is deleted, and the maps must be empty.

use super::text::{Dialled, From, Frontend};
use serde::Deserialize;
use serde_json::{Map, Value};
use shunt::{engine::Rules, select::NodePortAddresses};
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
};

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// The rule in words.
    pub rule: String,
    /// This node's name.
    #[serde(default = "node")]
    pub node: String,
    #[serde(default)]
    rules: RuleWords,
    pub steps: Vec<Step>,
}

fn node() -> String {
    "node-a".to_owned()
}

/// The operator's rules, in the words of the command line's options.
#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleWords {
    nodeport_addresses: Option<String>,
    localhost_nodeports: Option<bool>,
    external_ips: Option<bool>,
    source_ranges_in_cluster: Option<bool>,
}

/// One change and what comes of it.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// What has changed, in words.
    pub when: Option<String>,
    /// The agent ends before the change, and another one begins.
    #[serde(default)]
    pub restart: bool,
    /// What is observed on the node's interfaces from now on.
    pub local_addresses: Option<Vec<IpAddr>>,
    /// Endpoints where nobody listens, in the kernel.
    #[serde(default)]
    pub silent: Vec<SocketAddr>,
    /// Objects that go: `Kind/namespace/name`, or `Kind/name` without a namespace.
    #[serde(default)]
    pub delete: Vec<String>,
    /// Manifests of objects that come or change.
    #[serde(default)]
    pub apply: String,
    #[serde(default)]
    pub expect: Expect,
    /// Connections that are made once all of `expect` holds.
    #[serde(default)]
    pub dials: Vec<Dial>,
    /// TCP connections that are made then and go on whatever happens, in the kernel.
    #[serde(default)]
    pub flows: Vec<Flow>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// Words of each warning about the manifests.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// `address:port/protocol: winner before loser`, ascending.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// How many writes to maps the change takes.
    pub writes: Option<usize>,
    /// Every service port that is programmed: some fields of it.
    pub plan: Option<Vec<Map<String, Value>>>,
    /// `namespace/name:port/family: status, count ready` of every health check, ascending.
    pub health: Option<Vec<String>>,
    #[serde(default)]
    pub explain: Vec<Explain>,
}

/// A question and the answer to it.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Explain {
    pub dial: Dialled,
    pub from: From,
    pub verdict: Verdict,
    /// Every endpoint that may be picked, ascending.
    #[serde(default)]
    pub endpoints: Vec<SocketAddr>,
    /// Whose address the endpoint sees: `kept` or `node`.
    pub client: Option<String>,
    /// `namespace/name:port`.
    pub service: Option<String>,
    pub frontend: Option<Frontend>,
    /// Words of the reason.
    pub reason: Option<String>,
    /// What a socket sees, where that is not the verdict.
    pub socket: Option<Socket>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Forward,
    Reject,
    Drop,
    Pass,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Socket {
    /// Its call is left alone: packets are judged where they pass.
    Untouched,
}

/// A connection that is made.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dial {
    /// How long after the one before.
    #[serde(default)]
    pub after_seconds: u32,
    pub to: Dialled,
    pub from: From,
    pub affinity: Affinity,
    /// The endpoints one of which it reaches.
    pub lands_on: Option<Vec<SocketAddr>>,
}

/// A TCP connection that is made and goes on.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    pub to: Dialled,
    pub from: From,
}

/// What session affinity has to do with the choice of an endpoint.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum Affinity {
    /// The service port has none.
    None,
    /// The client had none, or none that could be kept: it has one now.
    New,
    /// It led the client to the endpoint that it reached last through this service port.
    Kept,
}

impl Case {
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let case: Self = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
        case.rules()?;
        Ok(case)
    }

    /// What the operator decides for the node.
    pub fn rules(&self) -> Result<Rules, String> {
        let words = &self.rules;
        let rules = Rules::default();
        let node_ports = words.nodeport_addresses.as_deref().map(str::parse::<NodePortAddresses>);
        let node_ports = node_ports.transpose().map_err(|error| error.to_string())?;
        Ok(Rules {
            node_ports: node_ports.unwrap_or(rules.node_ports),
            localhost_node_ports: words.localhost_nodeports.unwrap_or(rules.localhost_node_ports),
            external_ips: words.external_ips.unwrap_or(rules.external_ips),
            source_ranges_in_cluster: words
                .source_ranges_in_cluster
                .unwrap_or(rules.source_ranges_in_cluster),
        })
    }
}
