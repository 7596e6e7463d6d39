//! Random events in a small world, where everything meets everything.

use proptest::{prelude::*, sample::select};
use shunt::model::{
    Conditions, Endpoint, EndpointSlice, Event, Family, Node, ObjectName, Protocol, Service, ServiceCidr,
    ServicePort, ServiceType, SlicePort, TrafficPolicy,
};
use smol_str::SmolStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const NODE: &str = "node-a";
const SERVICES: u8 = 4;

/// The three ports that a Service may have: (name, protocol, service port, backend port, node port).
pub const PORTS: [(&str, Protocol, u16, u16, u16); 3] = [
    ("http", Protocol::Tcp, 80, 8080, 30080),
    ("dns", Protocol::Udp, 53, 5353, 30053),
    ("dns", Protocol::Tcp, 53, 5353, 30053),
];

pub fn cluster_ip(service: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 96, 0, 10 + service).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 10 + u16::from(service)).into(),
    }
}

pub fn pod_ip(pod: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 244, 0, pod).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 0, u16::from(pod)).into(),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Each text with even odds.
fn some_of<T: std::str::FromStr + std::fmt::Debug + Clone + 'static>(
    texts: &[&str],
) -> impl Strategy<Value = Vec<T>>
where
    T::Err: std::fmt::Debug,
{
    let all: Vec<T> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let count = all.len();
    prop::sample::subsequence(all, 0..=count)
}

fn rarely<T: std::fmt::Debug + Clone + 'static>(
    odds: u32,
    strategy: impl Strategy<Value = Vec<T>>,
) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![odds => Just(Vec::new()), 1 => strategy]
}

fn port_subset() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence(vec![0, 1, 2], 0..=3)
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    prop_oneof![2 => Just(TrafficPolicy::Cluster), 1 => Just(TrafficPolicy::Local)]
}

fn service() -> impl Strategy<Value = Service> {
    let kind = prop_oneof![
        4 => Just(ServiceType::ClusterIp),
        4 => Just(ServiceType::NodePort),
        4 => Just(ServiceType::LoadBalancer),
        1 => Just(ServiceType::ExternalName),
    ];
    let identity = (0..SERVICES, 0..4_u8, port_subset(), 0..12_u8, kind);
    // The first addresses are other Services' ClusterIPs, and this node's own.
    let external =
        some_of(&["10.96.0.10", "fd00:96::a", "192.168.77.1", "203.0.113.1", "203.0.113.2", "2001:db8::1"]);
    let balancer = some_of(&["192.168.77.1", "203.0.113.2", "203.0.113.3", "2001:db8::1", "2001:db8::2"]);
    let ranges =
        some_of(&["10.244.0.0/16", "192.168.77.0/24", "198.51.100.0/25", "203.0.113.2/32", "fd00:244::/64"]);
    let policies = (policy(), policy(), select(vec![None, Some(10), Some(10_800)]), any::<bool>());
    (identity, rarely(2, external), rarely(1, balancer), rarely(2, ranges), policies).prop_map(
        |(
            (number, families, ports, oddity, kind),
            external_ips,
            load_balancer_ips,
            source_ranges,
            policies,
        )| {
            let name = ObjectName::new("default", format!("svc-{number}"));
            let families: &[Family] = match families {
                0 => &[Family::V6],
                1 => &[Family::V4, Family::V6],
                _ => &[Family::V4],
            };
            // Two Services may end up with one address, as when one is deleted and another takes it.
            let address = if oddity == 7 { 0 } else { number };
            let ips = families.iter().map(|family| cluster_ip(address, *family)).collect();
            // Two Services may even name one node port.
            let shift = if oddity == 8 { 0 } else { u16::from(number) };
            let (internal_policy, external_policy, affinity_seconds, checked) = policies;
            Service {
                created: i64::from(number % 3),
                kind,
                headless: oddity == 6,
                foreign_proxy: oddity == 5,
                external_ips,
                load_balancer_ips,
                source_ranges,
                internal_policy,
                external_policy,
                affinity_seconds,
                health_check_node_port: checked.then_some(32_000 + u16::from(number)),
                ports: ports
                    .into_iter()
                    .map(|p| ServicePort {
                        name: PORTS[p].0.into(),
                        protocol: PORTS[p].1,
                        port: PORTS[p].2,
                        node_port: (oddity != 9).then_some(PORTS[p].4 + 100 * shift),
                    })
                    .collect(),
                ..Service::cluster_ip(name, ips)
            }
        },
    )
}

fn endpoint() -> impl Strategy<Value = (u8, Conditions, Option<SmolStr>, Vec<SmolStr>, Vec<SmolStr>)> {
    let conditions = prop_oneof![
        5 => Just(Conditions::default()),
        2 => Just(Conditions { ready: false, serving: true, terminating: true }),
        1 => Just(Conditions { ready: false, serving: false, terminating: true }),
        1 => Just(Conditions { ready: false, serving: false, terminating: false }),
    ];
    let node = select(vec![None, Some(SmolStr::from(NODE)), Some("node-b".into()), Some("node-b".into())]);
    let zones = prop_oneof![1 => Just(Vec::new()), 4 => some_of(&["zone-a", "zone-b"])];
    let nodes = prop_oneof![2 => Just(Vec::new()), 1 => some_of(&[NODE, "node-b"])];
    (1..10_u8, conditions, node, zones, nodes)
}

fn slice() -> impl Strategy<Value = EndpointSlice> {
    // Without hints in half of the slices: one endpoint without hints turns topology off.
    let endpoints = (prop::collection::vec(endpoint(), 0..7), any::<bool>(), any::<bool>());
    (0..SERVICES, 0..3_u8, any::<bool>(), port_subset(), endpoints, 0..9_u16).prop_map(
        |(service, number, v6, ports, (endpoints, zones, nodes), shift)| {
            let family = if v6 { Family::V6 } else { Family::V4 };
            EndpointSlice {
                name: ObjectName::new("default", format!("slice-{number}-{family}")),
                service: format!("svc-{service}").into(),
                family,
                ports: ports
                    .into_iter()
                    .map(|p| SlicePort {
                        name: PORTS[p].0.into(),
                        protocol: PORTS[p].1,
                        // Endpoints of one service port may listen on different ports; those of another
                        // service never on the same, so that a foreign one shows.
                        port: PORTS[p].3 + shift / 8 + 100 * u16::from(service),
                    })
                    .collect(),
                endpoints: endpoints
                    .into_iter()
                    .map(|(pod, conditions, node, zone_hints, node_hints)| Endpoint {
                        address: pod_ip(pod, family),
                        conditions,
                        node,
                        zone_hints: if zones { zone_hints } else { Vec::new() },
                        node_hints: if nodes { node_hints } else { Vec::new() },
                    })
                    .collect(),
            }
        },
    )
}

fn node() -> impl Strategy<Value = Node> {
    let zone =
        select(vec![None, Some(SmolStr::from("zone-a")), Some("zone-b".into()), Some("zone-c".into())]);
    let addresses = some_of(&["192.168.77.1", "192.168.77.3", "fd00:77::1"]);
    let name = prop_oneof![4 => Just(NODE), 1 => Just("node-b")];
    (name, zone, addresses, some_of(&["10.244.0.0/24", "fd00:244::/64"])).prop_map(
        |(name, zone, addresses, pod_cidrs)| Node {
            name: name.into(),
            zone,
            addresses,
            pod_cidrs,
            leaving: false,
        },
    )
}

/// One change of any object.
pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => service().prop_map(Event::ServiceApplied),
        4 => (0..SERVICES).prop_map(|n| Event::ServiceDeleted(ObjectName::new("default", format!("svc-{n}")))),
        24 => slice().prop_map(Event::SliceApplied),
        4 => (0..3_u8, any::<bool>()).prop_map(|(n, v6)| {
            let family = if v6 { Family::V6 } else { Family::V4 };
            Event::SliceDeleted(ObjectName::new("default", format!("slice-{n}-{family}")))
        }),
        6 => node().prop_map(Event::NodeApplied),
        1 => Just(Event::NodeDeleted(NODE.into())),
        1 => some_of(&["10.96.0.0/24", "fd00:96::/64"])
            .prop_map(|cidrs| Event::ServiceCidrApplied(ServiceCidr { name: "kubernetes".into(), cidrs })),
        1 => Just(Event::ServiceCidrDeleted("kubernetes".into())),
        1 => some_of(&["192.168.77.1", "192.168.77.9", "127.0.0.1", "fd00:77::9"]).prop_map(Event::LocalAddresses),
    ]
}
