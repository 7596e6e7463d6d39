//! Clients, and what is expected of the answers.

use shunt::{
    lab::{Place, Reply, UdpAsker, tcp_ask, udp_ask_connected},
    model::Protocol,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// How long an answer may take that is to come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a test waits for an answer that must not come. TCP sends its SYN once within that time.
pub const SILENCE: Duration = Duration::from_millis(300);

/// A refusal comes at once: sooner than a client's first repetition.
const AT_ONCE: Duration = Duration::from_millis(900);

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// Whom a server is to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// The client's own address and port.
    Client,
    /// This address, and a port.
    Ip(IpAddr),
}

/// Asks once, over a new socket.
pub fn ask(place: impl Into<Place>, protocol: Protocol, to: SocketAddr) -> io::Result<Reply> {
    ask_for(place, protocol, to, PATIENCE)
}

fn ask_for(
    place: impl Into<Place>,
    protocol: Protocol,
    to: SocketAddr,
    limit: Duration,
) -> io::Result<Reply> {
    let asked = place.into().run(|| match protocol {
        Protocol::Tcp => tcp_ask(to, limit),
        // An unconnected socket would take an answer from anywhere; the connected one sees ICMP errors as well.
        _ => udp_ask_connected(to, limit),
    });
    asked.unwrap()
}

/// Asks, and asserts that the address dialled answers, in whose name, and whom the server saw.
#[track_caller]
pub fn assert_answers(place: impl Into<Place>, protocol: Protocol, to: SocketAddr, name: &str, seen: Seen) {
    let place = place.into();
    let what = format!("{protocol} to {to}");
    let reply = ask(place.clone(), protocol, to).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((reply.name.as_str(), reply.peer_name), (name, to), "{what}");
    match seen {
        Seen::Client => assert_eq!(reply.seen_client, reply.local, "{what}: the client's own address"),
        Seen::Ip(ip) => assert_eq!(reply.seen_client.ip(), ip, "{what}: an address in the client's place"),
    }
    if protocol == Protocol::Udp {
        let from = place.run(|| asker(to).and_then(|asker| asker.ask(to))).unwrap();
        assert_eq!(from.unwrap(), (name.to_owned(), to), "{what}: unconnected");
    }
}

/// An unconnected UDP socket of the family of an address.
pub fn asker(to: SocketAddr) -> io::Result<UdpAsker> {
    if to.is_ipv4() { UdpAsker::ipv4(PATIENCE) } else { UdpAsker::ipv6(PATIENCE) }
}

/// Asks, and asserts that it is refused at once.
#[track_caller]
pub fn assert_refused(place: impl Into<Place>, protocol: Protocol, to: SocketAddr) {
    let began = Instant::now();
    let error = ask(place, protocol, to).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{protocol} to {to}: {error}");
    assert!(began.elapsed() < AT_ONCE, "{protocol} to {to}: refused after {:?}", began.elapsed());
}

/// Asks, and asserts that nothing is heard: no answer, no reset, no ICMP error.
#[track_caller]
pub fn assert_silence(place: impl Into<Place>, protocol: Protocol, to: SocketAddr) {
    let error = ask_for(place, protocol, to, SILENCE).unwrap_err();
    let silent = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    assert!(silent, "{protocol} to {to}: {error}");
}
