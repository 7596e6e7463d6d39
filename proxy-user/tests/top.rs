//! `shunt top` on a live node: what it counts, and whose it is.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

mod command;
#[allow(dead_code)] // only the path is used here
mod golden;
mod watching;

use command::{Site, skipped, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use shunt::{kernel::Kernel, view::decode};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, UdpSocket},
    path::Path,
};
use watching::{NEAR, Running, Watched};

const BEGUN: &str = "counting";

/// The rows of a table; none before the first one.
fn services(table: &Value) -> &[Value] {
    table["services"].as_array().map_or(&[], Vec::as_slice)
}

/// Connections since the start of the service ports that had any, by `name:port`.
fn connections(table: &Value) -> BTreeMap<String, u64> {
    let each = services(table).iter().map(|service| {
        let name = format!("{}:{}", service["name"].as_str().unwrap(), service["port"].as_str().unwrap());
        (name, service["connections"].as_u64().unwrap())
    });
    each.filter(|(_, connections)| *connections > 0).collect()
}

fn wanted<const N: usize>(each: [(&str, u64); N]) -> BTreeMap<String, u64> {
    each.into_iter().map(|(name, connections)| (name.to_owned(), connections)).collect()
}

/// The newest table.
fn last(top: &Running) -> Value {
    top.objects().pop().unwrap_or_default()
}

#[test]
fn connections_are_counted_exactly() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    // Before it began.
    watched.connect(NEAR);
    let mut top = watched.start(&["top", "-o", "json", "--interval", "100ms", "--limit", "1000"], BEGUN);
    for _ in 0..20 {
        watched.connect(NEAR);
    }
    for _ in 0..5 {
        watched.connect("10.96.0.70:80");
        watched.connect("10.96.0.10:81");
        // Three datagrams of one socket are one flow.
        watched.send("10.96.0.10:53", 3);
    }
    watched.dial(|| {
        for _ in 0..200 {
            let _ = UdpSocket::bind("0.0.0.0:0").unwrap().connect("10.96.0.10:53");
        }
    });
    let counted = wanted([("near:http", 20), ("web:dns", 205)]);
    top.wait_for("all is counted", |top| connections(&last(top)) == counted);
    let before = top.objects().len();
    top.wait_for("two tables more", |top| top.objects().len() >= before + 2);
    let table = last(&top);
    assert_eq!(connections(&table), counted, "nothing is counted twice");
    assert_eq!(table["service_ports"], services(&table).len());
    // The bytes of sockets are not seen, and nothing goes on.
    for service in services(&table) {
        for column in ["packet_bytes_to_endpoints", "packet_bytes_to_clients", "connections_per_second"] {
            assert_eq!(service[column].as_f64(), Some(0.0), "{column}: {service}");
        }
    }
    top.signal(Signal::INT);
    assert_eq!(top.ended().code(), Some(0), "{}", top.err());
    let rates: f64 = top
        .objects()
        .iter()
        .map(|table| {
            let each = services(table).iter();
            let rate: f64 = each.map(|service| service["connections_per_second"].as_f64().unwrap()).sum();
            rate * table["interval_seconds"].as_f64().unwrap()
        })
        .sum();
    assert!((rates - 225.0).abs() < 0.01, "rates add up to {rates}");
}

#[test]
fn one_table_for_people_has_the_busiest_first_and_the_rest_counted() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    let mut top = watched.start(&["top", "--once", "--interval", "2s", "--limit", "2"], BEGUN);
    watched.connect(NEAR);
    watched.send("10.96.0.10:53", 1);
    watched.send("10.96.0.10:53", 1);
    assert_eq!(top.ended().code(), Some(0), "{}", top.err());
    let out = top.out();
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].contains(" service ports, watched for 2.") && lines[1].starts_with("SERVICE"), "{out}");
    assert!(lines[2].starts_with("default/web:dns") && lines[3].starts_with("default/near:http"), "{out}");
    assert!(lines[4].starts_with("and ") && lines[4].ends_with(" more"), "{out}");
    assert!(lines[5].starts_with("* bytes of packets") && lines.len() == 6, "{out}");
    assert!(!out.contains('\x1b'), "a file is not cleared: {out}");
}

#[test]
fn services_that_come_and_go_have_their_own_counts() {
    if skipped() {
        return;
    }
    let service = |name: &str, address: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: {address}, ports: \
             [{{port: 53, protocol: UDP}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\n\
             ports: [{{name: '', port: 5353, protocol: UDP}}]\nendpoints: [{{addresses: [10.244.1.11]}}]\n"
        )
    };
    let watched = Watched::new();
    let dial = |address: &str, times: usize| {
        let to: SocketAddr = format!("{address}:53").parse().unwrap();
        watched.dial(|| (0..times).for_each(|_| drop(UdpSocket::bind("0.0.0.0:0").unwrap().connect(to))));
    };
    let has = |site: &Site, name: &str| site.dump().contains(&format!("\"name\": \"{name}\""));
    watched.site.save("one.yaml", &service("one", "10.96.0.101"));
    wait_until("it is served", || has(&watched.site, "one"));
    let args = ["top", "-o", "json", "--interval", "50ms", "--limit", "1000"];
    let mut top = watched.start(&args, BEGUN);
    dial("10.96.0.101", 300);
    top.wait_for("it is counted", |top| connections(&last(top)) == wanted([("one:", 300)]));
    // One after the other, so that indices are given away again.
    let maps = Kernel::read_only(Path::new(&watched.site.pins())).unwrap();
    let index = |name: &str| {
        let ports = decode(&maps).unwrap().into_iter();
        ports
            .filter(|port| port.id.as_ref().is_some_and(|id| id.service.name == name))
            .map(|port| port.index)
            .next()
    };
    let mut indices = BTreeSet::new();
    for number in 2..12_u8 {
        let (name, address) = (format!("n{number}"), format!("10.96.0.{}", 100 + number));
        watched.site.save("one.yaml", &service(&name, &address));
        wait_until("it is served", || has(&watched.site, &name));
        top.wait_for("it is seen", |top| {
            services(&last(top)).iter().any(|service| service["name"] == name.as_str())
        });
        indices.insert(index(&name).unwrap());
        let times = usize::from(number);
        dial(&address, times);
        let counted = wanted([(&*format!("{name}:"), times as u64)]);
        top.wait_for("it is counted", |top| connections(&last(top)) == counted);
    }
    assert!(indices.len() < 10, "none was given away again: {indices:?}");
    top.signal(Signal::TERM);
    assert_eq!(top.ended().code(), Some(0), "{}", top.err());
}
