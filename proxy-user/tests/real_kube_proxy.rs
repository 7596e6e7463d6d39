//! kube-proxy itself: its rules are found in each mode, still when it has ended, and no longer after `--cleanup`. Needs
//! root, and what `cargo xtask kube-tools` builds.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;

use command::{skipped, wait_until};
use serde_json::json;
use shunt::{
    kernel::{Family, Leftover, Leftovers, kube_proxy},
    lab::{
        Namespace, Process,
        control_plane::{ControlPlane, Options, Tools},
        run,
    },
};
use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

fn look(node: &Namespace) -> Leftovers {
    node.run(|| kube_proxy(true).unwrap()).unwrap()
}

fn rules(found: &Leftovers) -> Vec<Leftover> {
    found.iter().filter(|leftover| !matches!(leftover, Leftover::Port(_))).collect()
}

#[test]
fn its_rules_are_found_in_each_mode_and_are_gone_after_its_cleanup() {
    if skipped() {
        return;
    }
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kube-tools");
    let tools = match Tools::find(&directory) {
        Ok(tools) => tools,
        Err(reason) => {
            assert!(std::env::var_os("SHUNT_REQUIRE_KUBE").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let Some(program) = tools.path("kube-proxy") else {
        eprintln!("skipped: no kube-proxy");
        return;
    };
    // The control plane has the node's loopback device to itself.
    let node = Namespace::new("node").unwrap();
    let options = Options { place: (&node).into(), ..Options::on_loopback(tools) };
    let plane = ControlPlane::start(options).unwrap_or_else(|error| panic!("{error}"));
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"ports": [{"name": "http", "port": 80}]}},
    ]});
    let kubectl = plane.kubectl().unwrap();
    kubectl.run_with(&["create", "-f", "-"], &objects.to_string()).unwrap();
    let status = r#"{"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}"#;
    kubectl
        .run(&["patch", "node", "lab-node", "--subresource=status", "--type=merge", "-p", status])
        .unwrap();
    let kubeconfig = plane.admin().unwrap();
    assert!(look(&node).is_empty());

    let log = tempfile::NamedTempFile::new().unwrap();
    for mode in ["nftables", "iptables"] {
        let mut command = Command::new(&program);
        command.arg("--kubeconfig").arg(&kubeconfig).args([
            "--hostname-override",
            "lab-node",
            "--proxy-mode",
            mode,
        ]);
        // The lab's namespace shares the machine's /proc/sys where it is not its own.
        command.args(["--conntrack-max-per-core", "0", "--conntrack-min", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log.path()).unwrap());
        node.enter_command(&mut command);
        let mut process = Process::start(&mut command).unwrap();
        wait_until(&format!("kube-proxy has rules in mode {mode}, see {}", log.path().display()), || {
            let ended = process.child().try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", std::fs::read_to_string(log.path()).unwrap());
            let found = look(&node);
            found.mode() == Some(mode) && found.iter().any(|leftover| leftover == Leftover::Port(10_256))
        });
        drop(process);
        let left = look(&node);
        assert_eq!(left.mode(), Some(mode), "what it leaves behind: {left}");
        assert!(left.iter().eq(rules(&left)), "nobody listens any more: {left}");
        if mode == "nftables" {
            assert!(rules(&left).contains(&Leftover::Table(Family::Ip)), "{left}");
        }
        let cleanup = run(&node, Command::new(&program).arg("--cleanup"), Duration::from_secs(30)).unwrap();
        assert_eq!(look(&node), Leftovers::default(), "{}", String::from_utf8_lossy(&cleanup.stderr));
    }
}
