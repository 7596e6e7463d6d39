//! kube-proxy's tables, chains, device and ports are found, and kubelet's are not taken for them. Needs root, and the
//! commands of Debian's nftables, iptables and iproute2.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;

use command::{Site, said, skipped};
use shunt::{
    kernel::{Family, Leftover, Leftovers, Tool, kube_proxy},
    lab::{Namespace, Process},
};
use std::{
    net::TcpListener,
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

/// Runs a command line in a namespace.
fn run(namespace: &Namespace, line: &str) {
    let mut words = line.split(' ');
    let program = words.next().unwrap();
    let mut command = Command::new(program);
    command.args(words);
    namespace.enter_command(&mut command);
    let output =
        command.output().unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask test` installs it"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn look(namespace: &Namespace) -> Leftovers {
    namespace.run(|| kube_proxy(true).unwrap()).unwrap()
}

fn found(all: &[Leftover]) -> Leftovers {
    all.iter().copied().collect()
}

const TOOLS: [(&str, Leftover); 4] = [
    ("iptables-nft", Leftover::Chain(Tool::Nft, Family::Ip)),
    ("ip6tables-nft", Leftover::Chain(Tool::Nft, Family::Ip6)),
    ("iptables-legacy", Leftover::Chain(Tool::Legacy, Family::Ip)),
    ("ip6tables-legacy", Leftover::Chain(Tool::Legacy, Family::Ip6)),
];

#[test]
fn what_kubelet_and_others_make_is_not_kube_proxys() {
    if skipped() {
        return;
    }
    let node = Namespace::new("node").unwrap();
    assert!(look(&node).is_empty());
    for (tool, _) in TOOLS {
        for chain in [
            "mangle -N KUBE-IPTABLES-HINT",
            "mangle -N KUBE-KUBELET-CANARY",
            "filter -N KUBE-FIREWALL",
            "nat -N KUBE-MARK-MASQ",
            "nat -N KUBE-MARK-DROP",
            "nat -N KUBE-POSTROUTING",
            "nat -N CNI-HOSTPORT-DNAT",
            // In another table than kube-proxy's, or nearly of its name.
            "mangle -N KUBE-SERVICES",
            "nat -N KUBE-SERVICES-2",
        ] {
            run(&node, &format!("{tool} -t {chain}"));
        }
    }
    run(&node, "nft add table ip kube-proxy-2");
    run(&node, "nft add table inet kube-proxy");
    assert_eq!(look(&node), Leftovers::default());
}

#[test]
fn tables_of_the_nftables_mode_are_found_by_family_until_they_are_removed() {
    if skipped() {
        return;
    }
    let node = Namespace::new("node").unwrap();
    run(&node, "nft add table ip kube-proxy");
    assert_eq!(look(&node), found(&[Leftover::Table(Family::Ip)]));
    run(&node, "nft add table ip6 kube-proxy");
    let both = found(&[Leftover::Table(Family::Ip), Leftover::Table(Family::Ip6)]);
    assert_eq!((look(&node), both.mode()), (both, Some("nftables")));
    run(&node, "nft delete table ip kube-proxy");
    run(&node, "nft delete table ip6 kube-proxy");
    assert!(look(&node).is_empty());
}

#[test]
fn the_chain_of_the_iptables_modes_is_found_in_each_iptables_until_it_is_removed() {
    if skipped() {
        return;
    }
    let node = Namespace::new("node").unwrap();
    for (tool, leftover) in TOOLS {
        run(&node, &format!("{tool} -t nat -N KUBE-SERVICES"));
        assert_eq!(look(&node), found(&[leftover]), "{tool}");
        // With many rules around it, which lie before and after it.
        for index in 0..20 {
            run(&node, &format!("{tool} -t nat -N KUBE-SVC-{index:016}"));
            run(&node, &format!("{tool} -t nat -A KUBE-SERVICES -j KUBE-SVC-{index:016}"));
        }
        assert_eq!(look(&node), found(&[leftover]), "{tool}");
        run(&node, &format!("{tool} -t nat -F"));
        run(&node, &format!("{tool} -t nat -X"));
        assert!(look(&node).is_empty(), "{tool}");
    }
}

#[test]
fn the_device_of_the_ipvs_mode_is_found() {
    if skipped() {
        return;
    }
    let node = Namespace::new("node").unwrap();
    run(&node, "ip link add kube-ipvs0 type veth peer name other");
    let there = found(&[Leftover::Device]);
    assert_eq!((look(&node), there.mode()), (there, Some("ipvs")));
    run(&node, "ip link delete kube-ipvs0");
    assert!(look(&node).is_empty());
}

#[test]
fn listeners_on_kube_proxys_ports_count_unless_they_are_ours() {
    if skipped() {
        return;
    }
    let node = Namespace::new("node").unwrap();
    let listener = node.run(|| TcpListener::bind("127.0.0.1:10249").unwrap()).unwrap();
    assert!(look(&node).is_empty(), "our own");
    // Another process, which has nothing but the listener.
    let mut sleep = Command::new("sleep");
    sleep.arg("60").stdin(Stdio::from(OwnedFd::from(listener)));
    let other = Process::start(&mut sleep).unwrap();
    drop(sleep);
    assert_eq!(look(&node), found(&[Leftover::Port(10_249)]));
    assert!(
        node.run(|| kube_proxy(false).unwrap()).unwrap().is_empty(),
        "`shunt status` cannot tell whose it is"
    );
    drop(other);
    assert!(look(&node).is_empty());
}

#[test]
fn the_agent_warns_and_status_shows_it() {
    if skipped() {
        return;
    }
    let (site, node) = (Site::new(), Namespace::new("node").unwrap());
    run(&node, "nft add table ip kube-proxy");
    site.save("empty.json", r#"{"apiVersion": "v1", "kind": "List", "items": []}"#);
    let mut command = site.run(&site.manifests(), &[]);
    node.enter_command(&mut command);
    let mut agent = site.start_command(command);
    let warning = agent.wait_for("kube-proxy is on this node too");
    assert!(
        warning.contains("nftables table ip kube-proxy") && warning.contains("docs/migrate.md"),
        "{warning}"
    );
    let cgroup = site.cgroup.path().to_str().unwrap().to_owned();
    let status = ["status", "--pin-path", &site.pins(), "--cgroup", &cgroup];
    let inside = node.run(|| said(&status)).unwrap();
    assert!(inside.out.contains("KUBE-PROXY is here too: nftables table ip kube-proxy"), "{}", inside.out);
    run(&node, "nft delete table ip kube-proxy");
    let inside = node.run(|| said(&status)).unwrap();
    assert!(!inside.out.contains("KUBE-PROXY"), "{}", inside.out);
    assert!(agent.stop().success());
    shunt::kernel::remove(site.bpffs.path().join("shunt").as_path()).unwrap();
}
