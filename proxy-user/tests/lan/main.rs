//! The local network of the laboratory, without Shunt: who reaches whom, by which way, and that nothing of
//! it stays. Needs root; says why it did not run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in #[test] functions, but not in their helpers
#![cfg(feature = "lab")]

mod links;
mod nothing_stays;
mod pods;
mod programs;
mod reach;

use shunt::lab::{Namespace, TcpServer, UdpServer, available, ping, tcp_ask, udp_ask_connected};
use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// Why no lab can be made here, printed; a machine that must have one says so by SHUNT_REQUIRE_LAB.
fn skipped() -> bool {
    let Err(why) = available() else { return false };
    assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{why}");
    eprintln!("not run: {why}");
    true
}

fn both(ipv4: impl Into<IpAddr>, ipv6: impl Into<IpAddr>) -> [IpAddr; 2] {
    [ipv4.into(), ipv6.into()]
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Pings, and asks by TCP and UDP; the server must see the client under the address given.
fn reaches(client: &Namespace, from: IpAddr, server: &Namespace, to: IpAddr) {
    let address = SocketAddr::new(to, 8080);
    let _tcp = TcpServer::start(server, "server", address).unwrap();
    let _udp = UdpServer::start(server, "server", address).unwrap();
    let asked =
        client.run(|| (ping(to, SECOND), tcp_ask(address, SECOND), udp_ask_connected(address, SECOND)));
    let (echo, tcp, udp) = asked.unwrap();
    echo.unwrap_or_else(|error| panic!("{client} pings {server} {to}: {error}"));
    for reply in [tcp, udp] {
        let reply = reply.unwrap_or_else(|error| panic!("{client} to {server} {to}: {error}"));
        assert_eq!((reply.name.as_str(), reply.peer_name), ("server", address));
        assert_eq!(reply.seen_client, reply.local, "{client} to {server}: no address was changed");
        assert_eq!(reply.local.ip(), from, "{client} to {server}");
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
