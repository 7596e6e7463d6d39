//! What stands beside kube-proxy's rules on a node: kubelet's chains (pkg/kubelet/kubelet_network_linux.go), those that the
//! real portmap plugin makes, and such as flannel, calico and kube-router make.

use crate::node::TestNode;
use serde_json::json;

/// kubelet's rule, as kube-proxy copies it.
const MARTIANS: &str = "*filter\n-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming \
                        localnet connections\" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\nCOMMIT\n";

/// Of each family. Some say what they have counted, which is to stay.
const BOTH: [&str; 32] = [
    // kubelet since Kubernetes 1.28 has that of IPv4 alone, kube-proxy both.
    "-t filter -N KUBE-FIREWALL",
    "-t filter -I OUTPUT -j KUBE-FIREWALL",
    "-t filter -I INPUT -j KUBE-FIREWALL",
    "-t mangle -N KUBE-IPTABLES-HINT",
    "-t mangle -N KUBE-KUBELET-CANARY",
    "-t nat -N KUBE-KUBELET-CANARY",
    "-t filter -N KUBE-KUBELET-CANARY",
    "-t nat -N KUBE-MARK-DROP",
    "-t nat -A KUBE-MARK-DROP -j MARK --or-mark 0x8000",
    // flannel.
    "-t nat -N FLANNEL-POSTRTG",
    "-t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment flanneld -j RETURN",
    "-t nat -A POSTROUTING -m comment --comment flanneld -j FLANNEL-POSTRTG",
    "-t filter -N FLANNEL-FWD",
    "-t filter -A FORWARD -m comment --comment flanneld -j FLANNEL-FWD",
    // calico, with a goto and its marks; kube-proxy puts its rules before.
    "-t filter -N cali-FORWARD",
    "-t filter -N cali-from-wl-dispatch",
    "-t filter -A cali-from-wl-dispatch -i cali+ -c 5 500 -m comment --comment cali:zTj6P0TIgYvgz-md -j DROP",
    "-t filter -A cali-FORWARD -i cali+ -g cali-from-wl-dispatch",
    "-t filter -A FORWARD -m comment --comment cali:wUHhoiAYhphO9Mso -j cali-FORWARD",
    "-t nat -N cali-OUTPUT",
    "-t nat -A OUTPUT -m comment --comment cali:tVnHkvAo15HuiPy0 -j cali-OUTPUT",
    "-t mangle -N cali-PREROUTING",
    "-t mangle -A PREROUTING -j cali-PREROUTING",
    "-t mangle -A cali-PREROUTING -m conntrack --ctstate RELATED,ESTABLISHED -m statistic --mode random --probability 0.5 \
     -j ACCEPT",
    // kube-router, of which k3s has the network policies.
    "-t filter -N KUBE-ROUTER-FORWARD",
    "-t filter -N KUBE-POD-FW-ABCDEFGHIJKLMNOP",
    "-t filter -A KUBE-ROUTER-FORWARD -j KUBE-POD-FW-ABCDEFGHIJKLMNOP",
    "-t filter -A FORWARD -j KUBE-ROUTER-FORWARD",
    // A user's own, one without a target, which goes on to the next rule.
    "-t filter -A OUTPUT -p tcp --dport 9 -c 5 500",
    "-t filter -A OUTPUT -p tcp --dport 9 -c 5 500 -j REJECT --reject-with tcp-reset",
    "-t raw -A PREROUTING -p udp --dport 9 -j DROP",
    "-t filter -A INPUT -m limit --limit 7/hour --limit-burst 3 -p tcp --dport 9 -c 5 500 -j LOG --log-prefix nine",
];

/// Makes all of it.
pub fn make(node: &TestNode) {
    for tool in ["iptables", "ip6tables"] {
        for rule in BOTH {
            node.run(&format!("{tool} {rule}"));
        }
    }
    node.run_with("iptables-restore", &["--noflush"], MARTIANS);
    port_map(node);
    // nftables' own, with a chain of a name of kube-proxy's iptables mode in a table that is not iptables'.
    node.run_with(
        "nft",
        &["-f", "-"],
        "table inet firewalld {
             chain KUBE-SERVICES { }
             chain input { type filter hook input priority 10; jump KUBE-SERVICES
 }
         }
         table ip kube-proxy-2 { }",
    );
}

/// The real plugin publishes a port of a pod.
fn port_map(node: &TestNode) {
    let input = json!({
        "cniVersion": "0.4.0", "name": "lab", "type": "portmap", "snat": true, "capabilities": {"portMappings": true},
        "runtimeConfig": {"portMappings": [{"hostPort": 18_080, "containerPort": 80, "protocol": "tcp"}]},
        "prevResult": {"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "/var/run/netns/none"}],
            "ips": [{"version": "4", "interface": 0, "address": "10.244.0.7/24"},
                    {"version": "6", "interface": 0, "address": "fd00:10:244::7/64"}]},
    });
    let mut command = node.command("/usr/lib/cni/portmap");
    command.envs([
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "pod"),
        ("CNI_NETNS", "/proc/self/ns/net"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/usr/lib/cni"),
    ]);
    command.stdin(crate::node::file(&input.to_string()).reopen().unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success(), "portmap: {}", String::from_utf8_lossy(&output.stdout));
    assert!(node.run("iptables-save -t nat").contains("CNI-HOSTPORT-DNAT"), "the plugin has made its chains");
}
