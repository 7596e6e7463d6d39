//! What a real kube-proxy does not make in the laboratory: marks of others, ipsets, a kube-ipvs0, both iptables at once.

use crate::{
    command::skipped,
    node::{KINDS, Kind, TestNode, named},
};

const CHAINS: [&str; 10] = [
    "-t nat -N KUBE-SERVICES",
    "-t nat -N KUBE-MARK-MASQ",
    "-t nat -N KUBE-POSTROUTING",
    "-t nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000",
    "-t nat -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
    "-t nat -A KUBE-POSTROUTING -j MASQUERADE",
    "-t nat -A KUBE-SERVICES -d 10.96.0.1 -j KUBE-MARK-MASQ",
    "-t nat -A OUTPUT -j KUBE-SERVICES",
    "-t nat -A PREROUTING -g KUBE-SERVICES",
    "-t nat -A POSTROUTING -j KUBE-POSTROUTING",
];

#[test]
fn what_a_cni_marks_packets_by_stays_with_what_masquerades_them() {
    if skipped() {
        return;
    }
    for kind in KINDS {
        let node = TestNode::new(kind);
        CHAINS.iter().for_each(|rule| drop(node.run(&format!("iptables {rule}"))));
        node.run("iptables -t nat -N CNI-DN-0123456789");
        node.run("iptables -t nat -A CNI-DN-0123456789 -s 10.244.0.7 -j KUBE-MARK-MASQ");
        let done = node.cleanup(&["--kube-proxy", "--force"]);
        assert_eq!(done.code, Some(0), "{}", done.err);
        let says = "chain CNI-DN-0123456789 marks packets by KUBE-MARK-MASQ, so that chain and KUBE-POSTROUTING stay";
        assert!(done.err.contains(says), "{}", done.err);
        let rules = node.run("iptables-save -t nat");
        assert!(!rules.contains("KUBE-SERVICES"), "{rules}");
        for stays in [
            "-A CNI-DN-0123456789 -s 10.244.0.7/32 -j KUBE-MARK-MASQ",
            "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
            "-A KUBE-POSTROUTING -j MASQUERADE",
            "-A POSTROUTING -j KUBE-POSTROUTING",
        ] {
            assert!(rules.contains(stays), "{kind:?}, {stays}:\n{rules}");
        }
        // Without it they go too.
        node.run("iptables -t nat -F CNI-DN-0123456789");
        assert_eq!(node.cleanup(&["--kube-proxy", "--force"]).code, Some(0));
        assert!(!node.run("iptables-save -t nat").contains("KUBE-"));
    }
}

#[test]
fn rules_of_both_iptables_go_at_once() {
    if skipped() {
        return;
    }
    let node = TestNode::new(Kind::Nft);
    for rule in CHAINS {
        for tool in ["iptables-nft", "iptables-legacy"] {
            node.run(&format!("{tool} {}", rule.replace("nat -A PREROUTING -g", "nat -A PREROUTING -j")));
        }
    }
    let done = node.cleanup(&["--kube-proxy", "--force"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let removed = named(&done, "removed ");
    for tool in ["iptables-nft", "iptables-legacy"] {
        assert!(removed.contains(&format!("{tool} -t nat: chain KUBE-POSTROUTING, rules: 2")), "{removed:?}");
        assert!(removed.contains(&format!("{tool} -t nat: a rule in OUTPUT that leads to KUBE-SERVICES")));
        assert!(!node.run(&format!("{tool}-save")).contains("KUBE-"), "{tool}");
    }
}

#[test]
fn ipsets_and_counters_go_after_the_rules_that_refer_to_them() {
    if skipped() {
        return;
    }
    let node = TestNode::new(Kind::Legacy);
    for line in [
        "ipset create KUBE-CLUSTER-IP hash:ip,port",
        "ipset create KUBE-6-CLUSTER-IP hash:ip,port family inet6",
        "ipset create KUBE-6-LOAD-BALANCER-SOURCE-CID hash:ip,port family inet6",
        "ipset create KUBE-SRC-0123456789ABCDEF hash:ip",
        "ipset add KUBE-CLUSTER-IP 10.96.0.1,tcp:443",
        "iptables -t nat -N KUBE-SERVICES",
        "iptables -t nat -A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
        "iptables -t nat -A OUTPUT -j KUBE-SERVICES",
        "iptables -t nat -A OUTPUT -m set --match-set KUBE-SRC-0123456789ABCDEF src -j ACCEPT",
    ] {
        node.run(line);
    }
    let dry = node.cleanup(&["--kube-proxy", "--dry-run"]);
    let would = named(&dry, "would remove ");
    assert!(
        would.contains("ipset KUBE-CLUSTER-IP") && would.contains("ipset KUBE-6-CLUSTER-IP"),
        "{would:?}"
    );
    assert!(node.run("ipset list -n").contains("KUBE-CLUSTER-IP"));
    let done = node.cleanup(&["--kube-proxy", "--force"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert_eq!(named(&done, "removed "), would);
    assert_eq!(node.run("ipset list -n"), "KUBE-SRC-0123456789ABCDEF\n");

    // A rule of somebody else's refers to one: it is named, and the exit code tells.
    node.run("ipset create KUBE-CLUSTER-IP hash:ip,port");
    node.run("iptables -t raw -A PREROUTING -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT");
    let busy = node.cleanup(&["--kube-proxy", "--force"]);
    assert_eq!((busy.code, busy.out.as_str()), (Some(1), ""), "{}", busy.err);
    assert!(
        busy.err.contains("not removed: ipset KUBE-CLUSTER-IP: a rule or another set refers to it"),
        "{}",
        busy.err
    );
}

/// The real device is a dummy, which this machine's kernel may lack; another one of that name is nobody's to remove.
#[test]
fn a_device_of_another_kind_is_not_kube_proxys() {
    if skipped() {
        return;
    }
    let node = TestNode::new(Kind::Nft);
    node.run("ip link add kube-ipvs0 type veth peer name other");
    let done = node.cleanup(&["--kube-proxy", "--force"]);
    assert_eq!((done.code, done.out.as_str()), (Some(1), ""), "{}", done.err);
    assert!(done.err.contains("not removed: device kube-ipvs0: it is of kind \"veth\""), "{}", done.err);
    assert!(node.run("ip link show kube-ipvs0").contains("kube-ipvs0"));
    node.run("ip link delete kube-ipvs0");
    let mut dummy = node.command("ip");
    if !dummy.args(["link", "add", "kube-ipvs0", "type", "dummy"]).output().unwrap().status.success() {
        eprintln!("this kernel has no dummy devices");
        return;
    }
    let done = node.cleanup(&["--kube-proxy", "--force"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "removed device kube-ipvs0\n"), "{}", done.err);
    assert!(done.err.contains("ipvsadm"), "{}", done.err);
}

/// A verdict map leads into a chain where no rule does: the kernel refuses the whole table's transaction.
#[test]
fn a_table_that_cannot_be_cleaned_stays_whole() {
    if skipped() {
        return;
    }
    let node = TestNode::new(Kind::Nft);
    CHAINS.iter().for_each(|rule| drop(node.run(&format!("iptables {rule}"))));
    let script = "add chain ip nat user\nadd rule ip nat user tcp dport vmap { 80 : jump KUBE-SERVICES }\n";
    node.run_with("nft", &["-f", "-"], script);
    let before = node.run("nft -s list ruleset");
    let done = node.cleanup(&["--kube-proxy", "--force"]);
    assert_eq!(done.code, Some(1), "{}", done.err);
    assert!(
        done.err.contains("kube-proxy's chains of iptables-nft -t nat: chain KUBE-SERVICES"),
        "{}",
        done.err
    );
    assert_eq!(node.run("nft -s list ruleset"), before);
}
