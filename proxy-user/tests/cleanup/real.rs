//! What the real kube-proxy left goes, in each mode and with each iptables, and nothing else does: as after its own
//! `--cleanup`.

use crate::{
    command::{skipped, wait_until},
    node::{KINDS, Kind, TestNode, named},
    others,
};
use serde_json::{Value, json};
use shunt::lab::{
    Process,
    control_plane::{ControlPlane, Options, Tools},
};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Whatever kube-proxy makes chains or maps of.
fn services() -> Value {
    let service = |name: &str, more: Value| {
        let mut spec = json!({"ports": [{"name": "http", "port": 80}], "ipFamilyPolicy": "RequireDualStack"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
    };
    let slice = |of: &str, family: &str, addresses: [&str; 2]| {
        let endpoint = |(index, address): (usize, &str)| {
            let node = if index == 0 { "lab-node" } else { "other" };
            json!({"addresses": [address], "nodeName": node, "conditions": {"ready": true}})
        };
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": family,
            "metadata": {"name": format!("{of}-{}", family.to_lowercase()), "namespace": "default",
                "labels": {"kubernetes.io/service-name": of}},
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": addresses.into_iter().enumerate().map(endpoint).collect::<Vec<_>>()})
    };
    let mut items = vec![
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}}),
        service("empty", json!({"externalIPs": ["192.0.2.80"]})),
        service("web", json!({"type": "NodePort"})),
        service("sticky", json!({"sessionAffinity": "ClientIP"})),
        service(
            "local",
            json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["203.0.113.0/24", "2001:db8:7::/48"], "externalIPs": ["192.0.2.81"]}),
        ),
    ];
    for of in ["web", "sticky", "local"] {
        items.push(slice(of, "IPv4", ["10.244.0.10", "10.244.1.10"]));
        items.push(slice(of, "IPv6", ["fd00:10:244::10", "fd00:10:244:1::10"]));
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

struct Cluster {
    plane: ControlPlane,
    kube_proxy: PathBuf,
}

impl Cluster {
    /// On the node's own loopback device; `None`, with the reason printed, where the programs are not here.
    fn start(node: &TestNode) -> Option<Self> {
        let tools = Tools::find(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kube-tools"));
        let found = tools.and_then(|tools| Ok((tools.path("kube-proxy").ok_or("no kube-proxy")?, tools)));
        let (kube_proxy, tools) = match found {
            Ok(found) => found,
            Err(reason) => {
                assert!(std::env::var_os("SHUNT_REQUIRE_KUBE").is_none(), "{reason}");
                eprintln!("skipped: {reason}");
                return None;
            }
        };
        let options = Options { place: (&node.namespace).into(), ..Options::on_loopback(tools) };
        let plane = ControlPlane::start(options).unwrap_or_else(|error| panic!("{error}"));
        let kubectl = plane.kubectl().unwrap();
        kubectl.run_with(&["create", "-f", "-"], &services().to_string()).unwrap();
        let addresses = json!([{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "InternalIP", "address": "fd00::1"}]);
        let patch = |what: &[&str], status: Value| {
            let status = json!({ "status": status }).to_string();
            let args = [&["patch"], what, &["--subresource=status", "--type=merge", "-p", &status]].concat();
            kubectl.run(&args).unwrap();
        };
        patch(&["node", "lab-node"], json!({ "addresses": addresses }));
        let ingress = json!({"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}, {"ip": "2001:db8::7"}]}});
        patch(&["service", "local"], ingress);
        Some(Self { plane, kube_proxy })
    }

    fn command(&self, node: &TestNode, args: &[&str]) -> Command {
        let mut command = node.command(&self.kube_proxy);
        command.args(args).stdout(Stdio::null());
        command
    }

    /// Lets it write all its rules, and ends it.
    fn run(&self, node: &TestNode, mode: &str) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let kubeconfig = self.plane.admin().unwrap();
        let mut command = self.command(node, &["--hostname-override", "lab-node", "--proxy-mode", mode]);
        command.arg("--kubeconfig").arg(&kubeconfig);
        // The namespace shares the machine's /proc/sys where it is not its own.
        command.args(["--conntrack-max-per-core", "0", "--conntrack-min", "0", "--cluster-cidr"]);
        command.arg("10.244.0.0/16,fd00:10:244::/48").stderr(File::create(log.path()).unwrap());
        let mut process = Process::start(&mut command).unwrap();
        wait_until(&format!("kube-proxy has rules in mode {mode}"), || {
            let ended = process.child().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", fs::read_to_string(log.path()).unwrap());
            let rules = node.rules();
            // Endpoints and what is only for load balancers, of both families.
            ["10.244.1.10", "fd00:10:244:1::10", "203.0.113.0/24", "2001:db8:7::/48"]
                .iter()
                .all(|text| rules.contains(text))
        });
    }
}

fn as_after_its_own_cleanup(kind: Kind) {
    if skipped() {
        return;
    }
    let node = TestNode::new(kind);
    let Some(cluster) = Cluster::start(&node) else { return };
    others::make(&node);
    let before = node.rules();
    let counted = node.counted();
    // ip6tables-nft of Debian 12 sets no counters.
    assert!(counted.len() >= 4, "{counted:?}");
    for mode in ["iptables", "nftables"] {
        cluster.run(&node, mode);
        let left = node.rules();
        assert_ne!(left, before);

        let dry = node.cleanup(&["--kube-proxy", "--dry-run"]);
        assert_eq!(dry.code, Some(0), "{}", dry.err);
        assert_eq!(node.rules(), left, "nothing changes by it");
        let would = named(&dry, "would remove ");
        let has = |text: &str| would.iter().any(|line| line.contains(text));
        if mode == "iptables" {
            for chain in [
                "KUBE-SERVICES",
                "KUBE-SVC-",
                "KUBE-SEP-",
                "KUBE-SVL-",
                "KUBE-FW-",
                "KUBE-EXT-",
                "KUBE-MARK-MASQ",
            ] {
                assert!(has(&format!("chain {chain}")), "{chain}: {would:?}");
            }
            assert!(
                has("ip6tables-") && has("a rule in POSTROUTING that leads to KUBE-POSTROUTING"),
                "{would:?}"
            );
        } else {
            assert!(has("nftables table ip kube-proxy") && has("nftables table ip6 kube-proxy"), "{would:?}");
        }
        for other in
            ["KUBE-FIREWALL", "KUBELET", "HINT", "KUBE-MARK-DROP", "CNI-", "cali", "FLANNEL", "KUBE-ROUTER"]
        {
            assert!(!has(other), "{other}: {would:?}");
        }

        let done = node.cleanup(&["--kube-proxy", "--force"]);
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert_eq!(named(&done, "removed "), would);
        assert_eq!(node.rules(), before, "{mode}: what others have is as it was, and nothing is left");
        assert_eq!(node.counted(), counted, "{mode}: what was counted stays so");
        let nothing = node.cleanup(&["--kube-proxy"]);
        assert_eq!((nothing.code, nothing.out.as_str()), (Some(0), ""), "{}", nothing.err);
        assert!(nothing.err.contains("kube-proxy has left nothing"), "{}", nothing.err);

        // Its own --cleanup leaves the same.
        cluster.run(&node, mode);
        let output = cluster.command(&node, &["--cleanup"]).output().unwrap();
        assert_eq!(node.rules(), before, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_kube_proxy_left_goes_with_iptables_legacy_and_in_nftables_mode() {
    as_after_its_own_cleanup(Kind::Legacy);
}

#[test]
fn what_kube_proxy_left_goes_with_iptables_nft_and_in_nftables_mode() {
    as_after_its_own_cleanup(Kind::Nft);
}

#[test]
fn a_kube_proxy_that_runs_is_left_alone() {
    if skipped() {
        return;
    }
    let node = TestNode::new(KINDS[1]);
    let Some(cluster) = Cluster::start(&node) else { return };
    cluster.run(&node, "nftables");
    let kubeconfig = cluster.plane.admin().unwrap();
    let mut command =
        cluster.command(&node, &["--hostname-override", "lab-node", "--proxy-mode", "nftables"]);
    command.arg("--kubeconfig").arg(&kubeconfig).stderr(Stdio::null());
    command.args(["--conntrack-max-per-core", "0", "--conntrack-min", "0"]);
    let mut process = Process::start(&mut command).unwrap();
    let id = process.child().id();
    let refused = node.cleanup(&["--kube-proxy"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{}", refused.err);
    assert!(refused.err.contains(&format!("kube-proxy runs here as process {id}")), "{}", refused.err);
    assert!(node.rules().contains("table ip kube-proxy"));
}
