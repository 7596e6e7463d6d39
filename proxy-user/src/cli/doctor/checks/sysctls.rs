//! Sysctls that decide about Services beside Shunt, which sets none.

use super::some;
use crate::{
    cli::doctor::finding::{Check, State},
    kernel::PinnedMaps,
    view::{FrontendKind, PortView},
};
use serde_json::json;
use std::{collections::BTreeSet, fs, ops::RangeInclusive};

/// NodePorts, unless the API server was told otherwise (`--service-node-port-range`).
const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// What was read, as far as it is there.
#[derive(Debug, Default)]
struct Sysctls {
    /// net.ipv4.ip_forward and net.ipv6.conf.all.forwarding.
    forwarding: [Option<bool>; 2],
    /// Devices that the packet programs are on, and do not forward IPv4, or IPv6.
    still: [Vec<String>; 2],
    /// Devices with strict reverse path filtering.
    strict: Vec<String>,
    /// Ports that sockets get by themselves.
    local_ports: Option<RangeInclusive<u16>>,
    /// And those that they do not.
    reserved: Vec<RangeInclusive<u16>>,
    route_localnet: Vec<String>,
}

/// Looks at the sysctls of this process's network namespace. `devices` are those with packet programs.
pub fn sysctls(devices: &[String], ports: &[PortView], maps: Option<&PinnedMaps>) -> Check {
    let mut check = Check::new("sysctls");
    let node_ports: BTreeSet<u16> = ports
        .iter()
        .flat_map(|port| &port.frontends)
        .filter(|frontend| frontend.kind == FrontendKind::NodePort)
        .map(|frontend| frontend.port)
        .collect();
    let settings = maps.map(PinnedMaps::packet_settings);
    let source = settings
        .filter(|settings| settings.ports > 0)
        .map(|settings| settings.first_port..=settings.first_port.saturating_add(settings.ports - 1));
    judge(&mut check, &Sysctls::read(devices), !devices.is_empty(), &node_ports, source.as_ref());
    check
}

impl Sysctls {
    fn read(devices: &[String]) -> Self {
        let flag = |name: &str| text(name).map(|value| value != "0");
        let of = |pattern: fn(&str) -> String, wanted: &str| {
            let there = devices.iter().filter(|device| text(&pattern(device)).as_deref() == Some(wanted));
            there.cloned().collect::<Vec<_>>()
        };
        // The stricter of a device's own value and that of `all` counts (ip-sysctl.rst, rp_filter).
        let all = number("net/ipv4/conf/all/rp_filter");
        let strict =
            |device: &&String| number(&format!("net/ipv4/conf/{device}/rp_filter")).max(all) == Some(1);
        Self {
            forwarding: [flag("net/ipv4/ip_forward"), flag("net/ipv6/conf/all/forwarding")],
            still: [
                of(|device| format!("net/ipv4/conf/{device}/forwarding"), "0"),
                of(|device| format!("net/ipv6/conf/{device}/forwarding"), "0"),
            ],
            strict: devices.iter().filter(strict).cloned().collect(),
            local_ports: text("net/ipv4/ip_local_port_range").and_then(|value| range(&value)),
            reserved: ranges(&text("net/ipv4/ip_local_reserved_ports").unwrap_or_default()),
            route_localnet: of(|device| format!("net/ipv4/conf/{device}/route_localnet"), "1"),
        }
    }

    /// The ports of these that a socket may get by itself.
    fn free_of(&self, ports: impl IntoIterator<Item = u16>) -> Vec<u16> {
        let Some(local) = &self.local_ports else { return Vec::new() };
        let is_reserved = |port: u16| self.reserved.iter().any(|range| range.contains(&port));
        ports.into_iter().filter(|port| local.contains(port) && !is_reserved(*port)).collect()
    }
}

fn judge(
    check: &mut Check,
    read: &Sysctls,
    has_devices: bool,
    node_ports: &BTreeSet<u16>,
    source: Option<&RangeInclusive<u16>>,
) {
    let on = |value: Option<bool>| value.map_or("-", |on| if on { "1" } else { "0" });
    let [v4, v6] = read.forwarding;
    check.see(format!("net.ipv4.ip_forward={}, net.ipv6.conf.all.forwarding={}", on(v4), on(v6)));
    let local = read.local_ports.as_ref().map_or_else(|| "-".to_owned(), shown);
    let reserved: Vec<_> = read.reserved.iter().map(shown).collect();
    let reserved = if reserved.is_empty() { "nothing".to_owned() } else { some(&reserved) };
    check.see(format!("sockets get ports {local}, reserved is {reserved}"));
    check.fact("ip_forward", v4);
    check.fact("ipv6_forwarding", v6);
    check.fact(
        "ip_local_port_range",
        read.local_ports.as_ref().map(|range| json!([range.start(), range.end()])),
    );
    for (family, all, off, still) in [
        ("IPv4", "net.ipv4.ip_forward", v4 == Some(false), &read.still[0]),
        ("IPv6", "net.ipv6.conf.all.forwarding", v6 == Some(false), &read.still[1]),
    ] {
        let on_devices = if still.is_empty() { String::new() } else { format!(" on {}", some(still)) };
        if has_devices && (off || !still.is_empty()) {
            check.find(
                (
                    State::Degraded,
                    if family == "IPv4" { "forwarding-off-ipv4" } else { "forwarding-off-ipv6" },
                ),
                format!(
                    "{family} is not forwarded{on_devices}: {all} is {}",
                    if off { "0" } else { "1, the device's own is 0" }
                ),
                "what arrives from outside for a pod of this node is thrown away after it was translated",
                format!("sysctl -w {all}=1, and keep it in /etc/sysctl.d/"),
            );
        }
    }
    judge_ports(check, read, node_ports, source);
    if read.strict.len() > 1 {
        check.find(
            (State::Notice, "rp-filter-strict"),
            format!("rp_filter is strict on {}", some(&read.strict)),
            "with more than one way out, answers of the network may arrive where the kernel does not expect them, and are dropped",
            "sysctl -w net.ipv4.conf.all.rp_filter=2",
        );
    }
    if !read.route_localnet.is_empty() {
        check.find(
            (State::Notice, "route-localnet"),
            format!("route_localnet is 1 on {}", some(&read.route_localnet)),
            "kube-proxy sets it for NodePorts on localhost, Shunt does not need it; with it, neighbours may reach what listens on 127.0.0.1 (CVE-2020-8558)",
            "sysctl -w net.ipv4.conf.<device>.route_localnet=0",
        );
    }
}

fn judge_ports(
    check: &mut Check,
    read: &Sysctls,
    node_ports: &BTreeSet<u16>,
    source: Option<&RangeInclusive<u16>>,
) {
    let local = read.local_ports.as_ref().map_or_else(String::new, shown);
    let in_range = read.free_of(NODE_PORTS);
    let programmed = read.free_of(node_ports.iter().copied());
    if !in_range.is_empty() || !programmed.is_empty() {
        let which = if programmed.is_empty() {
            String::new()
        } else {
            format!(", {} of them in use: {}", programmed.len(), some(&programmed))
        };
        check.find(
            (State::Degraded, "node-ports-ephemeral"),
            format!("net.ipv4.ip_local_port_range is {local}: sockets get ports that are NodePorts{which}"),
            "a process of the node that gets such a port by chance never hears its answers: they go to the NodePort's endpoints",
            format!("sysctl -w net.ipv4.ip_local_reserved_ports={}   (with what is reserved already)", shown(&NODE_PORTS)),
        );
    }
    if let Some(source) = source
        && !read.free_of(source.clone()).is_empty()
    {
        check.find(
            (State::Notice, "source-ports-ephemeral"),
            format!("source ports {} for what the node sends in a client's place overlap {local}, which sockets get", shown(source)),
            "a port that a socket has is passed over, but one may get it later and talk to the same endpoint",
            "make net.ipv4.ip_local_port_range smaller, or give the agent --snat-ports",
        );
    }
}

fn text(name: &str) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/sys/{name}")).ok()?.trim().to_owned())
}

fn number(name: &str) -> Option<u8> {
    text(name)?.parse().ok()
}

/// Two ports with blanks between.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}

/// Ports and ranges with commas between, as net.ipv4.ip_local_reserved_ports has them.
fn ranges(text: &str) -> Vec<RangeInclusive<u16>> {
    let one = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some(low.trim().parse().ok()?..=high.trim().parse().ok()?)
    };
    text.split(',').filter_map(one).collect()
}

fn shown(range: &RangeInclusive<u16>) -> String {
    let (low, high) = (range.start(), range.end());
    if low == high { low.to_string() } else { format!("{low}-{high}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(read: &Sysctls, has_devices: bool, node_ports: &[u16]) -> Vec<&'static str> {
        let mut check = Check::new("sysctls");
        judge(&mut check, read, has_devices, &node_ports.iter().copied().collect(), None);
        check.findings.iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn reserved_ports_are_read_as_the_kernel_writes_them() {
        assert_eq!(ranges("30000-32767,40000"), [30_000..=32_767, 40_000..=40_000]);
        assert_eq!(ranges(""), []);
        assert_eq!(range("32768\t60999"), Some(32_768..=60_999));
    }

    #[test]
    fn node_ports_may_lie_where_sockets_get_theirs_only_if_they_are_reserved() {
        let of = |local, reserved: &str| Sysctls {
            local_ports: Some(local),
            reserved: ranges(reserved),
            ..Sysctls::default()
        };
        assert_eq!(found(&of(32_768..=60_999, ""), false, &[30_080]), [""; 0]);
        assert_eq!(found(&of(1_024..=65_535, ""), false, &[]), ["node-ports-ephemeral"]);
        assert_eq!(found(&of(1_024..=65_535, "30000-32767"), false, &[30_080]), [""; 0]);
        assert_eq!(found(&of(40_000..=60_999, ""), false, &[45_000]), ["node-ports-ephemeral"]);
    }

    #[test]
    fn forwarding_matters_where_packets_are_translated() {
        let off = Sysctls { forwarding: [Some(false), Some(true)], ..Sysctls::default() };
        assert_eq!(found(&off, false, &[]), [""; 0]);
        assert_eq!(found(&off, true, &[]), ["forwarding-off-ipv4"]);
        let device = Sysctls { still: [vec![], vec!["eth0".to_owned()]], ..Sysctls::default() };
        assert_eq!(found(&device, true, &[]), ["forwarding-off-ipv6"]);
    }
}
