//! What of kube-proxy's fields is obeyed, and as what.

use super::{Translated, read};
use crate::cli::config::place::Lines;
use std::path::Path;

fn translated(fields: &str) -> Translated {
    let text =
        format!("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n{fields}");
    read(&text, &Lines::of(Path::new("f")))
}

/// The options that a file comes to.
fn options(fields: &str) -> String {
    let translated = translated(fields);
    assert!(translated.problems.is_empty(), "{fields}: {:?}", translated.problems);
    let options =
        translated.settings.iter().map(|setting| format!("--{}={}", setting.word, setting.values.concat()));
    options.collect::<Vec<_>>().join(" ")
}

#[test]
fn each_field_has_kube_proxys_meaning() {
    const ALL: &str = "--nodeport-addresses=all";
    for (fields, wanted) in [
        // An empty mode is iptables, which serves NodePorts on all addresses.
        ("", ALL),
        ("mode: ''\nnodePortAddresses: null", ALL),
        ("mode: ipvs\nnodePortAddresses: []", ALL),
        ("mode: nftables", ""),
        ("mode: nftables\nnodePortAddresses: [primary]", "--nodeport-addresses=primary"),
        ("nodePortAddresses:\n- 10.0.0.0/8\n- fd00::/8", "--nodeport-addresses=10.0.0.0/8,fd00::/8"),
        ("mode: nftables\nclientConnection: {kubeconfig: /k}", "--kubeconfig=/k"),
        ("mode: nftables\nhostnameOverride: ' Node-1 '", "--node=node-1"),
        // Empty means the default, not nowhere; a port that is missing is the default one.
        ("mode: nftables\nhealthzBindAddress: ''\nmetricsBindAddress: ''", ""),
        ("mode: nftables\nhealthzBindAddress: 127.0.0.1", "--healthz-address=127.0.0.1:10256"),
        ("mode: nftables\nhealthzBindAddress: '[::1]:17'", "--healthz-address=[::1]:17"),
        ("mode: nftables\nmetricsBindAddress: 0.0.0.0:10249", "--metrics-address=0.0.0.0:10249"),
        ("mode: nftables\nmetricsBindAddress: '::'", "--metrics-address=[::]:10249"),
        ("mode: nftables\nbindAddress: 0.0.0.0", ""),
        ("mode: nftables\nbindAddress: 10.0.0.5", "--node-ip=10.0.0.5"),
        ("mode: nftables\nbindAddress: '::'", "--healthz-address=[::]:10256 --metrics-address=[::1]:10249"),
        (
            "mode: nftables\nbindAddress: '::'\nhealthzBindAddress: 0.0.0.0:1",
            "--healthz-address=0.0.0.0:1 --metrics-address=[::1]:10249",
        ),
        // Each mode has a section of its own; ipvs reads that of iptables.
        ("iptables: {masqueradeAll: true}", "--nodeport-addresses=all --masquerade=always"),
        ("mode: ipvs\niptables: {masqueradeAll: true}", "--nodeport-addresses=all --masquerade=always"),
        ("mode: nftables\niptables: {masqueradeAll: true}", ""),
        ("mode: nftables\nnftables: {masqueradeAll: true}", "--masquerade=always"),
        ("nftables: {masqueradeAll: true}", ALL),
        ("iptables: {localhostNodePorts: false}", "--nodeport-addresses=all --localhost-nodeports=false"),
        ("mode: ipvs\niptables: {localhostNodePorts: false}", ALL),
        ("mode: nftables\nlogging: {verbosity: 2}", ""),
        ("mode: nftables\nlogging: {verbosity: 4}", "--log=debug"),
    ] {
        assert_eq!(options(fields), wanted, "{fields}");
    }
}

#[test]
fn what_kube_proxy_would_refuse_is_refused_with_its_line() {
    for (fields, wanted) in [
        ("mode: iptablse", "f:3: mode is iptables, ipvs or nftables, not \"iptablse\""),
        ("bindAddress: here", "f:3: bindAddress: \"here\" is no IP address"),
        (
            "mode: ipvs\niptables:\n  masqueradeAll: perhaps",
            "f:5: iptables.masqueradeAll is true or false, not \"perhaps\"",
        ),
        ("nodePortAddresses: 10.0.0.0/8", "f:3: nodePortAddresses is a list, not \"10.0.0.0/8\""),
        ("nodePortAddresses: [[]]", "f:3: nodePortAddresses is a list of texts, and one is none"),
        ("logging: {verbosity: much}", "f:3: logging.verbosity is a whole number, not \"much\""),
    ] {
        let problems: Vec<_> = translated(fields).problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [wanted], "{fields}");
    }
}

#[test]
fn a_default_is_silent_however_it_is_written() {
    let silent = "clientConnection: {qps: 5, burst: 10, contentType: application/vnd.kubernetes.protobuf}\n\
                  iptables: {masqueradeBit: 14, syncPeriod: 0m30s, minSyncPeriod: 1000ms}\n\
                  ipvs: null\nconntrack: {maxPerCore: 32768, tcpEstablishedTimeout: 24h0m0s, min: null}\n\
                  configSyncPeriod: 15m0s\noomScoreAdj: -999\nfeatureGates: {}\ndetectLocalMode: ClusterCIDR\n";
    let found = translated(silent);
    assert!(found.ignored.is_empty(), "{:?}", found.ignored);
    let said = translated("conntrack: {maxPerCore: 1}\niptables: {syncPeriod: 31s}\nipvs: []\n").ignored;
    let said: Vec<_> = said.iter().map(|ignored| (ignored.what.as_str(), ignored.matters)).collect();
    assert_eq!(
        said,
        [("conntrack.maxPerCore: 1", true), ("iptables.syncPeriod: 31s", false), ("ipvs", true)]
    );
}
