//! `loadBalancerSourceRanges` for clients outside.

use crate::{
    ask::{PROTOCOLS, Seen, ask_from, assert_all_answer, assert_all_silent, at_once},
    backend::Backend,
    service::{KINDS, Kind, address, frontend, ready, service},
    stage::Stage,
};
use proxy_common::abi::Counter;
use shunt::{
    lab::lan::Host,
    model::{Family, Service},
};
use std::net::{IpAddr, SocketAddr};

const VIP: [Kind; 1] = [Kind::LoadBalancer];
const OTHERS: [Kind; 3] = [Kind::ClusterIp, Kind::NodePort, Kind::External];

fn restricted(number: u8, ranges: &[&str]) -> Service {
    let source_ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Service { source_ranges, ..service(number) }
}

/// A pod on the first node and one on the second, each of a Service of its own that these ranges may use.
fn serve(stage: &mut Stage, ranges: &[&str]) -> [Backend; 2] {
    let backends = [stage.pod(0, "near"), stage.pod(1, "far")];
    for (number, backend) in (1..).zip(&backends) {
        stage.serve(&restricted(number, ranges), &ready(&[backend]));
    }
    backends
}

#[test]
fn source_ranges_bind_load_balancer_addresses_alone() {
    let Some(mut stage) = Stage::usual() else { return };
    let stranger = stage.add_client("stranger");
    let backends = serve(&mut stage, &["192.0.2.100/32", "2001:db8:1::100/128"]);
    for (number, backend, seen) in [(1, &backends[0], Seen::Client), (2, &backends[1], stage.as_node())] {
        assert_all_answer(&**stage.client(), &stage.dials(number, &KINDS), backend.name(), seen);
        let ((), [dropped]) = stage.counted([Counter::PacketSourceNotAllowed], || {
            assert_all_silent(&*stranger, &stage.dials(number, &VIP));
        });
        assert_eq!(dropped, 4);
        assert_all_answer(&*stranger, &stage.dials(number, &OTHERS), backend.name(), seen);
    }
    drop((stranger, backends));
    stage.assert_nothing_left();
}

#[test]
fn source_ranges_of_one_family_leave_the_other_open() {
    let Some(mut stage) = Stage::usual() else { return };
    for (closed, range) in [(Family::V4, "203.0.113.0/24"), (Family::V6, "2001:db8:ffff::/48")] {
        let pod = stage.pod(0, "pod");
        stage.serve(&restricted(1, &[range]), &ready(&[&pod]));
        let (silent, open): (Vec<_>, Vec<_>) =
            stage.dials(1, &VIP).into_iter().partition(|(_, to)| Family::of(&to.ip()) == closed);
        assert_all_silent(&**stage.client(), &silent);
        assert_all_answer(&**stage.client(), &open, "pod", Seen::Client);
    }
    stage.assert_nothing_left();
}

#[test]
fn source_ranges_come_before_the_lack_of_endpoints() {
    let Some(mut stage) = Stage::usual() else { return };
    stage.serve(&restricted(1, &["203.0.113.0/24", "2001:db8:ffff::/48"]), &[]);
    assert_all_silent(&**stage.client(), &stage.dials(1, &VIP));
    assert_eq!(stage.counter(Counter::PacketNoEndpoint), 0);
    stage.assert_nothing_left();
}

#[test]
fn a_services_own_address_may_ask_it_where_a_range_holds_the_node() {
    let Some(mut stage) = Stage::usual() else { return };
    // A second load-balancer address, which a client has bound and asks from.
    let own = Family::BOTH.map(|family| address(97, 99, family));
    let owner = stage.add_client("owner");
    for ip in own {
        bind(&owner, ip, &stage);
    }
    let pod = stage.pod(0, "pod");
    let mut service = restricted(1, &["192.0.2.11/32", "2001:db8:1::11/128"]);
    service.load_balancer_ips.extend(own);
    stage.serve(&service, &ready(&[&pod]));
    let each = Family::BOTH.map(|family| PROTOCOLS.map(|protocol| (family, protocol))).concat();
    let ask = |stage: &Stage, family: Family, protocol| {
        let from = SocketAddr::new(own[usize::from(family == Family::V6)], 0);
        let to = frontend(1, Kind::LoadBalancer, family, stage.node());
        ask_from(&*owner, protocol, from, to).map(|(name, seen)| (name, seen.ip()))
    };
    for (family, protocol) in each.iter().copied() {
        let own = own[usize::from(family == Family::V6)];
        assert_eq!(ask(&stage, family, protocol).unwrap(), ("pod".to_owned(), own), "{protocol}");
    }
    // Any other address of that client is none of the Service's.
    at_once(&stage.dials(1, &VIP), |(protocol, to)| {
        let from = SocketAddr::new(owner.ip_like(to.ip()), 0);
        ask_from(&*owner, *protocol, from, *to).unwrap_err();
    });
    // And without the node in a range its own address is as any other.
    service.source_ranges = vec!["192.0.2.12/32".parse().unwrap(), "2001:db8:1::12/128".parse().unwrap()];
    stage.serve(&service, &ready(&[&pod]));
    at_once(&each, |(family, protocol)| ask(&stage, *family, *protocol).unwrap_err());
    drop((pod, owner));
    stage.assert_nothing_left();
}

/// Gives a client an address that the nodes know the way to.
fn bind(client: &Host, ip: IpAddr, stage: &Stage) {
    let prefix = if ip.is_ipv4() { 32 } else { 128 };
    client.add_address(client.device(), ip, prefix).unwrap();
    stage.node().add_route(ip, prefix, Some(client.ip_like(ip)), "eth0").unwrap();
}
