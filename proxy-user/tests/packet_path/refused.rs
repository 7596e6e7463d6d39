//! Ports and addresses that nobody serves.

use crate::{
    ask::{PROTOCOLS, SILENCE, Seen, ask, assert_all_answer, assert_all_silent, assert_refused, at_once},
    service::{KINDS, Kind, address, ready, service},
    stage::{Setup, Stage},
};
use proxy_common::abi::Counter;
use shunt::{
    lab::{Place, ping},
    model::{Event, Family, Protocol, ServiceCidr},
};
use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

const UNKNOWN: u16 = 81;

fn both(network: u8, number: u8) -> [IpAddr; 2] {
    Family::BOTH.map(|family| address(network, number, family))
}

fn pinged(place: impl Into<Place>, ip: IpAddr, limit: Duration) -> ErrorKind {
    place.into().run(|| ping(ip, limit)).unwrap().unwrap_err().kind()
}

#[test]
fn a_port_that_a_cluster_ip_does_not_serve_is_refused_at_once() {
    let Some(mut stage) = Stage::new(&Setup { pods: true, ..Setup::default() }) else { return };
    let (pod, routed) = (stage.pod(0, "pod"), stage.routed_pod(0, "routed"));
    stage.serve(&service(1), &ready(&[&pod]));
    let places = [Place::from(&**stage.client()), stage.node().into(), pod.place(), routed.place()];
    let ((), [refused, without]) =
        stage.counted([Counter::PacketUnknownPort, Counter::PacketNoEndpoint], || {
            for place in &places {
                for (ip, protocol) in both(96, 1).into_iter().flat_map(|ip| PROTOCOLS.map(|p| (ip, p))) {
                    assert_refused(place.clone(), protocol, SocketAddr::new(ip, UNKNOWN));
                }
            }
        });
    assert_eq!((refused, without), (16, 0));
    // Nor does anything but its ports answer there: a ping is told so.
    for place in &places {
        for ip in both(96, 1) {
            assert_eq!(
                pinged(place.clone(), ip, Duration::from_secs(1)),
                ErrorKind::ConnectionRefused,
                "{ip}"
            );
        }
    }
    assert_all_answer(&**stage.client(), &stage.dials(1, &KINDS), "pod", Seen::Client);
    drop((places, pod, routed));
    stage.assert_nothing_left();
}

#[test]
fn what_a_load_balancer_or_external_address_does_not_serve_is_left_alone() {
    let Some(mut stage) = Stage::usual() else { return };
    let pod = stage.pod(0, "pod");
    stage.serve(&service(1), &ready(&[&pod]));
    // It goes on by the node's routes, to a router that knows no such network, and says so.
    let router = stage.lan().wan().router();
    for limit in ["net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"] {
        router.set_sysctl(limit, "0").unwrap();
    }
    let unreachable = |kind| matches!(kind, ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable);
    let all = Counter::ALL;
    let ((), counted) = stage.counted(all, || {
        at_once(&[both(97, 1), both(98, 1)].concat(), |ip| {
            let (to, client) = (SocketAddr::new(*ip, UNKNOWN), &**stage.client());
            let error = ask(client, Protocol::Tcp, to).unwrap_err();
            assert!(unreachable(error.kind()), "{ip}: {error}");
            // No UDP socket gives up for an unknown network, nor does a ping.
            assert_all_silent(client, &[(Protocol::Udp, to)]);
            assert_eq!(pinged(client, *ip, SILENCE), ErrorKind::WouldBlock, "{ip}");
        });
    });
    assert_eq!(counted, [0; Counter::COUNT], "nothing was decided");
    // A port of the node that is nobody's NodePort is the node's own affair.
    for (protocol, ip) in PROTOCOLS.into_iter().zip([stage.node().ipv4(); 2]) {
        assert_refused(&**stage.client(), protocol, SocketAddr::new(ip.into(), 31_999));
    }
    drop(pod);
    stage.assert_nothing_left();
}

#[test]
fn an_address_of_a_service_cidr_that_no_service_has_is_silent() {
    let Some(mut stage) = Stage::new(&Setup { pods: true, ..Setup::default() }) else { return };
    let pod = stage.pod(0, "pod");
    stage.serve(&service(1), &ready(&[&pod]));
    let cidrs = ["10.96.0.0/24", "fd00:96::/64"].map(|cidr| cidr.parse().unwrap()).to_vec();
    stage.apply([Event::ServiceCidrApplied(ServiceCidr { name: "services".into(), cidrs })]);
    let ((), [dropped]) = stage.counted([Counter::PacketUnallocated], || {
        at_once(&[Place::from(&**stage.client()), stage.node().into(), pod.place()], |place| {
            let dials =
                both(96, 200).into_iter().flat_map(|ip| PROTOCOLS.map(|p| (p, SocketAddr::new(ip, 80))));
            assert_all_silent(place.clone(), &dials.collect::<Vec<_>>());
        });
        // Whatever the protocol.
        at_once(&[Place::from(&**stage.client()), pod.place()], |place| {
            for ip in both(96, 200) {
                assert_eq!(pinged(place.clone(), ip, SILENCE), ErrorKind::WouldBlock, "{ip}");
            }
        });
    });
    assert_eq!(dropped, 16);
    assert_all_answer(&**stage.client(), &stage.dials(1, &[Kind::ClusterIp]), "pod", Seen::Client);
    // Where ServiceCIDRs are not known, it is nobody's: the router beyond says that it knows no such network.
    stage.apply([Event::ServiceCidrDeleted("services".into())]);
    for ip in both(96, 200) {
        let error = ask(&**stage.client(), PROTOCOLS[0], SocketAddr::new(ip, 80)).unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable),
            "{error}"
        );
    }
    drop(pod);
    stage.assert_nothing_left();
}
