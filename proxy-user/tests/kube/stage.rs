//! A cluster in the laboratory: nodes with pods, a host with the control plane, and a client outside.

use crate::{agent::Agent, becomes, kubectl::Kubectl, pod::Pod};
use serde_json::{Value, json};
use shunt::lab::{
    control_plane::{ControlPlane, Options, Tools},
    lan::{self, Host, Lan},
};
use std::{
    collections::BTreeSet,
    env,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

/// Load-balancer addresses, which the client outside sends to the first node.
pub const BALANCERS: [&str; 2] = ["203.0.113.200", "2001:db8:203::200"];

/// Where the API server listens that everybody knows, and where one that only kubectl and the controllers know of.
pub const PORT: u16 = 6443;
pub const HIDDEN_PORT: u16 = 6444;

/// The zones of the nodes, in turn.
pub const ZONES: [&str; 2] = ["zone-a", "zone-b"];

/// The port that pods listen on.
pub const TARGET: u16 = 8080;

/// The stage. Pods and agents are made by it and dropped before it.
pub struct Stage {
    pub plane: ControlPlane,
    pub lan: Lan,
    _control: Host,
}

impl Stage {
    /// `None`, with the reason printed, where no lab can be made or the programs are missing.
    pub fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// The same with more arguments for the API server.
    pub fn with(api_server: &[&str]) -> Option<Self> {
        let tools = tools()?;
        let lan = Lan::new(&lan::Options::default()).unwrap();
        for (ip, prefix) in BALANCERS.map(parse).into_iter().zip([32, 128]) {
            let (client, node) = (lan.client(), lan.node(0).ip_like(ip));
            client.add_route(ip, prefix, Some(node), client.device()).unwrap();
        }
        let control = lan.add_client("control-plane").unwrap();
        let mut options = Options::on(&control, tools);
        options.arguments.extend(api_server.iter().map(ToString::to_string));
        let plane = ControlPlane::start(options).unwrap_or_else(|error| panic!("{error}"));
        let stage = Self { plane, lan, _control: control };
        // The agents' ServiceAccount and its role; nobody here acts on the DaemonSet.
        becomes("kube-system", &true, || stage.kubectl().succeeds(&["get", "namespace", "kube-system"]));
        stage.kubectl().run(&["apply", "-k", deploy().join("base").to_str().unwrap()]);
        for index in 0..stage.lan.nodes().len() {
            // Server-side apply does not know two addresses of one type apart.
            stage.kubectl().create(&stage.node_object(index));
        }
        Some(stage)
    }

    /// kubectl of the user who may do anything.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl(self.plane.kubectl().unwrap())
    }

    /// The Node object of a node, as its kubelet registers it.
    pub fn node_object(&self, index: usize) -> Value {
        let node = self.lan.node(index);
        let cidrs = node.pod_networks().into_iter().map(|(ip, prefix)| format!("{ip}/{prefix}"));
        // The API server takes one of each family.
        let cidrs: Vec<_> = cidrs.take(2).collect();
        let address = |ip: IpAddr| json!({ "type": "InternalIP", "address": ip });
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": { "name": node.name(), "labels": { "topology.kubernetes.io/zone": ZONES[index % 2] } },
            "spec": { "podCIDR": cidrs[0], "podCIDRs": cidrs },
            "status": {
                "addresses": [address(node.ipv4().into()), address(node.ipv6().into())],
                "conditions": [{ "type": "Ready", "status": "True" }],
            },
        })
    }

    /// A kubeconfig with a new token of a ServiceAccount in kube-system.
    pub fn kubeconfig(&self, account: &str) -> PathBuf {
        let credentials = self.plane.credentials();
        credentials.kubeconfig(account, &self.token(account), &self.plane.url()).unwrap()
    }

    /// A new token of a ServiceAccount in kube-system.
    pub fn token(&self, account: &str) -> String {
        self.kubectl().run(&["create", "token", account, "--namespace", "kube-system"]).trim_end().to_owned()
    }

    /// Shunt on a node.
    pub fn shunt(&self, node: usize) -> Agent<'_> {
        Agent::start(self, node)
    }

    /// A pod of an app that runs on a node, listens and is ready.
    pub fn pod(&self, node: usize, app: &str, name: &str) -> Pod {
        let pod = Pod::create(self, node, app, name);
        pod.set_ready(self, true);
        pod
    }

    /// A Service of two families in front of the pods of an app: port 80 over TCP and UDP, of this type, and what
    /// else is to be in its `spec`.
    pub fn serve(&self, app: &str, kind: &str, spec: &Value) {
        let port = |protocol: &str| json!({ "name": protocol.to_lowercase(), "protocol": protocol, "port": 80, "targetPort": TARGET });
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": app },
            "spec": {
                "type": kind, "ipFamilyPolicy": "RequireDualStack", "selector": { "app": app },
                "ports": [port("TCP"), port("UDP")],
            },
        });
        service["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.kubectl().apply(&service);
    }

    /// Its ClusterIPs with its port.
    pub fn cluster_ips(&self, service: &str) -> Vec<SocketAddr> {
        let service = self.kubectl().get(&["service", service]);
        let ips = service["spec"]["clusterIPs"].as_array().unwrap().iter();
        ips.map(|ip| SocketAddr::new(parse(ip.as_str().unwrap()), 80)).collect()
    }

    /// The addresses of a node with its NodePort for TCP.
    pub fn node_ports(&self, service: &str, node: usize) -> Vec<SocketAddr> {
        let service = self.kubectl().get(&["service", service]);
        let port = service["spec"]["ports"][0]["nodePort"].as_u64().unwrap();
        let node = self.lan.node(node);
        let ips: [IpAddr; 2] = [node.ipv4().into(), node.ipv6().into()];
        ips.map(|ip| SocketAddr::new(ip, port.try_into().unwrap())).into()
    }

    /// Gives it the load-balancer addresses, as a cloud's controller does.
    pub fn balance(&self, service: &str) -> Vec<SocketAddr> {
        let ingress: Vec<_> = BALANCERS.iter().map(|ip| json!({ "ip": ip })).collect();
        let status = json!({ "loadBalancer": { "ingress": ingress } });
        self.kubectl().patch_status(&format!("service/{service}"), &status);
        BALANCERS.map(|ip| SocketAddr::new(parse(ip), 80)).into()
    }

    /// The endpoints of one family that its slices list, by what `pick` makes of them.
    pub fn endpoints<T: Ord>(&self, service: &str, pick: impl Fn(&Value) -> T) -> BTreeSet<T> {
        let label = format!("kubernetes.io/service-name={service}");
        let slices = self.kubectl().get(&["endpointslices", "-l", &label]);
        let ipv4 = slices["items"].as_array().unwrap().iter().filter(|slice| slice["addressType"] == "IPv4");
        let endpoints = ipv4.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
        endpoints.map(pick).collect()
    }
}

/// The manifests for clusters.
pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The programs; `None`, with the reason printed, where no lab can be made or they are missing.
pub fn tools() -> Option<Tools> {
    if crate::command::skipped() {
        return None;
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kube-tools");
    let tools = Tools::find(&directory);
    if let Err(reason) = &tools {
        assert!(env::var_os("SHUNT_REQUIRE_KUBE").is_none(), "{reason}");
        eprintln!("SKIPPED, no test against a real API server: {reason}");
    }
    tools.ok()
}

pub fn parse(ip: &str) -> IpAddr {
    ip.parse().unwrap()
}
