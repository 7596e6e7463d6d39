//! Which chains, ipsets and counters are kube-proxy's, of those whose names begin as kubelet's, kube-router's and others'
//! do. Source: kubernetes v1.36.3, `pkg/proxy/{iptables,ipvs}` and `pkg/kubelet/kubelet_network_linux.go`.
//!
//! kubelet's are KUBE-IPTABLES-HINT and KUBE-KUBELET-CANARY, and KUBE-FIREWALL in the table filter, of which kube-proxy makes
//! the same chain with the same rule and leaves it too (`iptablesKubeletJumpChains`). Up to Kubernetes 1.27 kubelet makes
//! KUBE-MARK-DROP, and KUBE-MARK-MASQ and KUBE-POSTROUTING beside kube-proxy, and makes those again if they are gone. kube-router's
//! (k3s has a part of it) are KUBE-ROUTER-*, KUBE-POD-FW-*, KUBE-NWPLCY-*, and ipsets KUBE-SRC-*, KUBE-DST-*.

/// The tables where it has chains, in the order in which they are cleaned: once nothing is translated, what the others do
/// for translated packets is not missed.
pub const TABLES: [&str; 3] = ["nat", "filter", "mangle"];

/// The chain that marks what is to be masqueraded, by which CNI plugins do it too (portmap's `externalSetMarkChain`).
pub const MARK: &str = "KUBE-MARK-MASQ";
/// The chain that masquerades what is marked.
pub const MASQUERADE: &str = "KUBE-POSTROUTING";

/// Chains of the table nat: those of its iptables mode, then of its ipvs mode alone.
const NAT: [&str; 7] = [
    "KUBE-SERVICES",
    "KUBE-NODEPORTS",
    MASQUERADE,
    MARK,
    "KUBE-PROXY-CANARY",
    "KUBE-NODE-PORT",
    "KUBE-LOAD-BALANCER",
];
/// Chains of the table filter, in the same order.
const FILTER: [&str; 10] = [
    "KUBE-SERVICES",
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FORWARD",
    "KUBE-NODEPORTS",
    "KUBE-PROXY-FIREWALL",
    "KUBE-PROXY-CANARY",
    "KUBE-NODE-PORT",
    "KUBE-SOURCE-RANGES-FIREWALL",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
];
/// Chains of service ports and endpoints in the table nat; the last was made up to Kubernetes 1.23.
const PREFIXES: [&str; 6] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-FW-", "KUBE-EXT-", "KUBE-XLB-"];

/// ipsets of its ipvs mode, without what they begin with.
const SETS: [&str; 17] = [
    "LOOP-BACK",
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "EXTERNAL-IP-LOCAL",
    "LOAD-BALANCER",
    "LOAD-BALANCER-LOCAL",
    "LOAD-BALANCER-FW",
    "LOAD-BALANCER-SOURCE-IP",
    "LOAD-BALANCER-SOURCE-CIDR",
    "NODE-PORT-TCP",
    "NODE-PORT-LOCAL-TCP",
    "NODE-PORT-UDP",
    "NODE-PORT-LOCAL-UDP",
    "NODE-PORT-SCTP-HASH",
    "NODE-PORT-LOCAL-SCTP-HASH",
    "HEALTH-CHECK-NODE-PORT",
    "IPVS-IPS",
];
/// Bytes of an ipset's name; kube-proxy cuts longer ones.
const SET_NAME: usize = 31;

/// The accounting objects that its iptables mode counts dropped and accepted packets with.
pub const COUNTERS: [&str; 2] = ["ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"];

/// Whether a chain of that table is kube-proxy's.
pub fn is_chain(table: &str, chain: &str) -> bool {
    match table {
        "nat" => NAT.contains(&chain) || PREFIXES.iter().any(|prefix| chain.starts_with(prefix)),
        "filter" => FILTER.contains(&chain),
        "mangle" => chain == "KUBE-PROXY-CANARY",
        _ => false,
    }
}

/// Whether an ipset is kube-proxy's: `KUBE-…` of IPv4, `KUBE-6-…` of IPv6.
pub fn is_set(name: &str) -> bool {
    let Some(name) = name.strip_prefix("KUBE-") else { return false };
    let cut = SET_NAME - "KUBE-6-".len();
    SETS.contains(&name)
        || name
            .strip_prefix("6-")
            .is_some_and(|name| SETS.iter().any(|set| set.get(..cut).unwrap_or(set) == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubelet_kube_router_and_cnis_make_is_not_kube_proxys() {
        for chain in [
            "KUBE-FIREWALL",
            "KUBE-KUBELET-CANARY",
            "KUBE-IPTABLES-HINT",
            "KUBE-MARK-DROP",
            "KUBE-ROUTER-INPUT",
            "KUBE-POD-FW-ABCDEFGH",
            "KUBE-NWPLCY-ABCDEFGH",
            "cali-OUTPUT",
            "FLANNEL-POSTRTG",
            "CNI-HOSTPORT-DNAT",
            "PREROUTING",
        ] {
            assert!(TABLES.iter().all(|table| !is_chain(table, chain)), "{chain}");
        }
        for set in ["KUBE-SRC-ABCDEFGH", "KUBE-DST-ABCDEFGH", "KUBE-", "kube-router-pod-subnets", "KUBE-6-"] {
            assert!(!is_set(set), "{set}");
        }
    }

    #[test]
    fn chains_belong_to_a_table() {
        assert!(
            is_chain("nat", "KUBE-SVC-ERIFXISQEP7F7OF4") && !is_chain("filter", "KUBE-SVC-ERIFXISQEP7F7OF4")
        );
        assert!(is_chain("filter", "KUBE-FORWARD") && !is_chain("nat", "KUBE-FORWARD"));
        assert!(TABLES.iter().all(|table| is_chain(table, "KUBE-PROXY-CANARY")));
        assert!(!is_chain("mangle", "KUBE-SERVICES") && !is_chain("raw", "KUBE-PROXY-CANARY"));
    }

    #[test]
    fn a_long_set_of_ipv6_is_known_by_the_name_that_it_was_cut_to() {
        assert!(is_set("KUBE-LOAD-BALANCER-SOURCE-CIDR"));
        let whole = "KUBE-6-LOAD-BALANCER-SOURCE-CIDR";
        assert!(is_set(&whole[..SET_NAME]) && !is_set(whole), "{}", whole.len());
        assert!(is_set("KUBE-6-CLUSTER-IP"));
    }
}
