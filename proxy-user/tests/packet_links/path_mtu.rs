//! Path MTU discovery through a NodePort: the errors of routers reach who sends too much, translated.

use crate::{
    ask::{PATIENCE, asker},
    backend::Backend,
    service::{self, Kind, frontend},
    stage::{Setup, Stage},
};
use proxy_common::abi::Counter;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use shunt::{
    lab::{MtuProbe, Namespace, Reply, TcpSession, lan, lan::Overlay, probe_path_mtu, run},
    model::Family,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    process::Command,
    time::{Duration, Instant},
};

/// The wide area link's, and that of pods behind a VXLAN.
const WAN: u32 = 1400;
const VXLAN: u32 = 1450;

/// Far more than one round trip carries.
const LARGE: usize = 4 << 20;

/// What a namespace has learnt of the way to an address.
pub fn learnt(namespace: &Namespace, to: IpAddr) -> Option<u32> {
    let family = if to.is_ipv4() { "-4" } else { "-6" };
    let mut command = Command::new("ip");
    command.args([family, "route", "get", &to.to_string()]);
    let output = run(namespace, &mut command, PATIENCE).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, mtu) = text.split_once(" mtu ")?;
    Some(mtu.split_whitespace().next().unwrap().parse().unwrap())
}

/// Has a namespace forget what it has learnt.
fn forget(namespace: &Namespace) {
    for family in ["-4", "-6"] {
        let mut command = Command::new("ip");
        let output = run(namespace, command.args([family, "route", "flush", "cache"]), PATIENCE).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// What the probe says once an error came through: a router sends them at a limited rate.
pub fn too_big(client: &Namespace, to: SocketAddr, length: usize) -> u32 {
    let end = Instant::now() + PATIENCE;
    loop {
        match client.run(|| probe_path_mtu(to, length, Duration::from_secs(1))).unwrap() {
            Ok(MtuProbe::TooBig(mtu)) => return mtu,
            Ok(MtuProbe::Fits(reply)) => panic!("{client} to {to}: {length} bytes arrived: {reply:?}"),
            Err(error) => assert!(Instant::now() < end, "{client} to {to}: {error}"),
        }
    }
}

/// Sends a UDP packet of `length` bytes, IP header included, which nobody may fragment, and has it back.
pub fn ask_whole(client: &Namespace, to: SocketAddr, length: usize) -> io::Result<Reply> {
    let ask = || {
        let asker = asker(to)?;
        if to.is_ipv4() {
            set_ip_mtu_discover(asker.socket(), Ipv4PathMtuDiscovery::DO)?;
            asker.ask_big(to, length - 28)
        } else {
            set_ipv6_mtu_discover(asker.socket(), Ipv6PathMtuDiscovery::DO)?;
            asker.ask_big(to, length - 48)
        }
    };
    client.run(ask).unwrap()
}

/// A backend on each node, each behind a Service of its own.
pub fn two(stage: &mut Stage) -> [Backend; 2] {
    let backends = [stage.pod(0, "local"), stage.pod(1, "remote")];
    for (number, backend) in (1..).zip(&backends) {
        stage.serve(&service::service(number), &service::ready(&[backend]));
    }
    backends
}

/// Plain routes and a VXLAN, tcx and clsact, packets that are complete and such as leave the rest to hardware.
pub fn setups() -> [Setup; 3] {
    let ways = [(Overlay::Plain, false, false), (Overlay::Vxlan, true, false), (Overlay::Vxlan, false, true)];
    ways.map(|(overlay, clsact, offload)| Setup {
        lan: lan::Options { overlay, offload, ..lan::Options::default() },
        clsact,
        ..Setup::default()
    })
}

#[test]
fn a_backend_learns_the_mtu_of_the_way_to_the_client() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends = two(&mut stage);
        stage.lan().wan().set_mtu(WAN).unwrap();
        let client = stage.lan().wan().client();
        for (number, backend) in (1..).zip(&backends) {
            for family in Family::BOTH {
                let to = frontend(number, Kind::NodePort, family, stage.node());
                // Else it would ask for small segments from the beginning.
                forget(client);
                let session = client.run(|| TcpSession::open(to, PATIENCE)).unwrap();
                let mut session = session.unwrap_or_else(|error| panic!("{to}: {error}"));
                assert_eq!(session.reply().name, backend.name());
                // The client's address, or the node's in its place.
                let seen = session.reply().seen_client.ip();
                assert_eq!(seen == client.ip_like(to.ip()), number == 1, "{seen}");
                assert_eq!(learnt(backend.pod(), seen), None);
                let ((), [translated]) = stage.counted([Counter::ErrorTranslated], || {
                    session.exchange(&vec![0x5a; LARGE]).unwrap_or_else(|error| panic!("{to}: {error}"));
                });
                assert!(translated >= 1, "{to}");
                assert_eq!(learnt(backend.pod(), seen), Some(WAN), "{} {family}", backend.name());
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_client_learns_the_mtu_of_the_way_to_the_backend() {
    for setup in setups() {
        let Some(mut stage) = Stage::new(&setup) else { return };
        let mtu = setup.lan.overlay.mtu();
        let backends = two(&mut stage);
        for (number, backend) in (1..).zip(&backends) {
            for family in Family::BOTH {
                let to = frontend(number, Kind::NodePort, family, stage.node());
                for client in [&**stage.client(), stage.lan().wan().client()] {
                    forget(client);
                    let reply = ask_whole(client, to, mtu as usize);
                    let reply = reply.unwrap_or_else(|error| panic!("{client} to {to}: {error}"));
                    assert_eq!((reply.name.as_str(), reply.peer_name), (backend.name(), to));
                    assert_eq!(too_big(client, to, 1501), 1500, "its own device's");
                    for length in [mtu + 1, 1500].into_iter().filter(|_| mtu < 1500) {
                        forget(client);
                        assert_eq!(
                            too_big(client, to, length as usize),
                            mtu,
                            "{length} from {client} to {to}"
                        );
                    }
                    forget(client);
                    let mut session = client.run(|| TcpSession::open(to, PATIENCE)).unwrap().unwrap();
                    session.exchange(&vec![0x5a; LARGE]).unwrap_or_else(|error| panic!("{to}: {error}"));
                }
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}
