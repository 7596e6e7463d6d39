//! Devices whose packets begin with their IP header, as WireGuard's and IPIP's do.

use crate::{
    ask::{PATIENCE, PROTOCOLS, Seen, assert_answers, assert_refused},
    path_mtu::{ask_whole, setups, too_big, two},
    service::{ENDPOINT_PORT, Kind, frontend, service},
    stage::Stage,
};
use shunt::{
    lab::{TcpServer, TcpSession, UdpAsker, UdpServer},
    model::{Conditions, Family},
};
use std::net::SocketAddr;

fn frontends(stage: &Stage, number: u8) -> Vec<SocketAddr> {
    let kinds = [Kind::NodePort, Kind::ClusterIp].into_iter();
    kinds.flat_map(|kind| Family::BOTH.map(|family| frontend(number, kind, family, stage.node()))).collect()
}

#[test]
fn a_client_behind_a_tunnel_is_served() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let tunnel = stage.lan().add_tunnel(0, "wg0").unwrap();
        stage.follow_devices();
        let backends = two(&mut stage);
        let client = tunnel.client();
        stage.serve(&service(3), &[]);
        for (number, backend) in (1..).zip(&backends) {
            for to in frontends(&stage, number) {
                for protocol in PROTOCOLS {
                    let reply = crate::ask::ask(client, protocol, to)
                        .unwrap_or_else(|error| panic!("{protocol} {to}: {error}"));
                    assert_eq!((reply.name.as_str(), reply.peer_name), (backend.name(), to));
                    assert_eq!(reply.seen_client == reply.local, number == 1, "{}", reply.seen_client);
                }
                let asker = || if to.is_ipv4() { UdpAsker::ipv4(PATIENCE) } else { UdpAsker::ipv6(PATIENCE) };
                if setup.lan.overlay.mtu() < 1500 {
                    assert_eq!(too_big(client, to, 1500), setup.lan.overlay.mtu(), "{to}");
                } else {
                    ask_whole(client, to, 1500).unwrap();
                }
                let reply = client.run(|| asker()?.ask_big(to, 20_000)).unwrap();
                assert_eq!(reply.unwrap().name, backend.name());
                let mut session = client.run(|| TcpSession::open(to, PATIENCE)).unwrap().unwrap();
                session.exchange(&vec![0x5a; 1 << 20]).unwrap();
            }
        }
        for to in frontends(&stage, 3) {
            for protocol in PROTOCOLS {
                assert_refused(client, protocol, to);
            }
        }
        drop((backends, tunnel));
        stage.follow_devices();
        stage.assert_nothing_left();
    }
}

#[test]
fn endpoints_behind_a_tunnel_serve() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let tunnel = stage.lan().add_tunnel(0, "wg0").unwrap();
        let far = stage.lan().add_tunnel(0, "wg1").unwrap();
        stage.follow_devices();
        let host = tunnel.client();
        let ips = [host.ipv4().into(), host.ipv6().into()];
        let at = ips.map(|ip| SocketAddr::new(ip, ENDPOINT_PORT));
        let tcp = at.map(|at| TcpServer::start_echo(host, "peer", at).unwrap());
        let udp = at.map(|at| UdpServer::start_echo(host, "peer", at).unwrap());
        stage.serve(&service(1), &[(ips.to_vec(), None, Conditions::default())]);
        let node = [tunnel.node_ipv4().into(), tunnel.node_ipv6().into()];
        for client in [stage.client(), far.client()] {
            for family in Family::BOTH {
                for to in
                    [Kind::NodePort, Kind::ClusterIp].map(|kind| frontend(1, kind, family, stage.node()))
                {
                    for protocol in PROTOCOLS {
                        assert_answers(client, protocol, to, "peer", Seen::Ips(node));
                    }
                    let mut session = client.run(|| TcpSession::open(to, PATIENCE)).unwrap().unwrap();
                    session.exchange(&vec![0x5a; 1 << 20]).unwrap_or_else(|e| panic!("{to} {client:?} {e}"));
                }
            }
        }
        drop((tcp, udp, tunnel, far));
        stage.follow_devices();
        stage.assert_nothing_left();
    }
}
