//! Who else balances here, or has left something: kube-proxy, ipvs, and the proxies of network plug-ins.

use super::some;
use crate::{
    cli::doctor::finding::{Check, State},
    kernel::{
        Cgroup, Leftover, kube_proxy,
        sys::{self, effective_programs},
    },
};
use aya_obj::generated::bpf_attach_type::{BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT};
use std::{collections::BTreeSet, fs, io, os::fd::AsFd as _, path::Path};

/// Devices, each with who makes it.
const DEVICES: [(&str, &str); 3] = [
    ("kube-dummy-if", "kube-router's service proxy"),
    ("nodelocaldns", "NodeLocal DNSCache, which answers for the cluster's DNS by itself"),
    ("bpfin.cali", "Calico's eBPF data plane"),
];

/// Socket programs of other proxies: how their names begin, and whose they are. The kernel keeps 15 characters.
const PROGRAMS: [(&str, &str); 4] = [
    ("cil_sock4_conne", "Cilium's kube-proxy replacement"),
    ("cil_sock6_conne", "Cilium's kube-proxy replacement"),
    ("calico_connect_", "Calico's connect-time load balancer"),
    ("cali_ctlb_v4", "Calico's connect-time load balancer"),
];

/// Looks for other proxies in this process's network namespace, and among the programs of the cgroup.
pub fn others(cgroup: &Path) -> Check {
    let mut check = Check::new("others");
    let mut seen = Vec::new();
    match kube_proxy(false) {
        Ok(found) => {
            let found: Vec<Leftover> = found.iter().collect();
            check.fact("kube_proxy", found.iter().map(ToString::to_string).collect::<Vec<_>>());
            if !found.is_empty() {
                seen.push(format!("kube-proxy: {}", some(&found)));
                check.find(
                    (State::Degraded, "kube-proxy"),
                    format!("kube-proxy is here, or has left {}", some(&found)),
                    "rules that nobody keeps lead packets that Shunt leaves alone to endpoints that may be gone",
                    "if kube-proxy still runs on this node, remove it; then: shunt cleanup --kube-proxy --dry-run",
                );
            }
        }
        Err(error) => check.unseen("kube-proxy", "kube-proxy's rules", &error),
    }
    let mut found = Vec::new();
    for (device, whose) in DEVICES {
        match sys::has_device(device) {
            Ok(true) => found.push(format!("device {device}: {whose}")),
            Ok(false) => {}
            Err(error) => check.unseen("other-devices", "devices of other proxies", &error),
        }
    }
    let servers = virtual_servers(&fs::read_to_string("/proc/net/ip_vs").unwrap_or_default());
    if servers > 0 {
        found.push(format!("{servers} virtual servers of ipvs"));
    }
    match programs(cgroup) {
        Ok(programs) => found.extend(programs),
        Err(error) => check.unseen("other-programs", "programs of other proxies", &error),
    }
    check.fact("others", found.clone());
    if !found.is_empty() {
        seen.push(some(&found));
        check.find(
            (State::Notice, "other-proxy"),
            some(&found),
            "two that balance the same Services get in each other's way: whose program or rule comes first decides",
            "switch the other one's service proxy off (Cilium: kubeProxyReplacement=false; Calico: bpfConnectTimeLoadBalancing=Disabled; kube-router: --run-service-proxy=false)",
        );
    }
    check.see(if seen.is_empty() { "nobody else balances here".to_owned() } else { seen.join("; ") });
    check
}

/// Programs of other proxies that the kernel runs for sockets of the cgroup.
fn programs(cgroup: &Path) -> io::Result<BTreeSet<String>> {
    // Where there is none, another check says so.
    let Ok(cgroup) = Cgroup::open(cgroup) else { return Ok(BTreeSet::new()) };
    let mut ids = effective_programs(cgroup.as_fd(), BPF_CGROUP_INET4_CONNECT)?;
    ids.extend(effective_programs(cgroup.as_fd(), BPF_CGROUP_INET6_CONNECT)?);
    let loaded = aya::programs::loaded_programs().collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let names = loaded.iter().filter(|program| ids.contains(&program.id()));
    let names = names.map(|program| String::from_utf8_lossy(program.name()).into_owned());
    Ok(names
        .filter_map(|name| {
            let (_, whose) = PROGRAMS.iter().find(|(begin, _)| name.starts_with(begin))?;
            Some(format!("program {name}: {whose}"))
        })
        .collect())
}

/// Lines of /proc/net/ip_vs that name a virtual server.
fn virtual_servers(table: &str) -> usize {
    let kinds = ["TCP ", "UDP ", "SCTP ", "FWM "];
    table.lines().filter(|line| kinds.iter().any(|kind| line.starts_with(kind))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_servers_are_counted_not_their_destinations() {
        let table = "IP Virtual Server version 1.2.1 (size=4096)\n\
                     Prot LocalAddress:Port Scheduler Flags\n\
                     \x20 -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n\
                     TCP  0A600001:01BB rr\n\
                     \x20 -> C0000201:192B      Masq    1      0          0\n\
                     UDP  0A60000A:0035 rr\n";
        assert_eq!(virtual_servers(table), 2);
        assert_eq!(virtual_servers(""), 0);
    }
}
