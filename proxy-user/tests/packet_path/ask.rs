//! Clients, and what is expected of the answers.

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send, socket_with,
    sockopt::{Timeout, set_socket_reuseaddr, set_socket_timeout},
};
use shunt::{
    lab::{Place, Reply, UdpAsker, tcp_ask, udp_ask_connected},
    model::Protocol,
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

/// How long an answer may take that is to come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How long a test waits for an answer that must not come. TCP sends its SYN once within that time.
pub const SILENCE: Duration = Duration::from_millis(300);

/// A refusal comes at once: sooner than a client's first repetition.
const AT_ONCE: Duration = Duration::from_millis(900);

pub const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];

/// What a client may dial.
pub type Dial = (Protocol, SocketAddr);

/// Whom a server is to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// The client's own address and port.
    Client,
    /// The address of its family, and a port.
    Ips([IpAddr; 2]),
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
        Seen::Ips([v4, v6]) => {
            let ip = if to.is_ipv4() { v4 } else { v6 };
            assert_eq!(reply.seen_client.ip(), ip, "{what}: an address in the client's place");
        }
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

/// Asks every frontend of these, and asserts of each what [`assert_answers`] does.
#[track_caller]
pub fn assert_all_answer(place: impl Into<Place>, dials: &[Dial], name: &str, seen: Seen) {
    let place = place.into();
    dials.iter().for_each(|(protocol, to)| assert_answers(place.clone(), *protocol, *to, name, seen));
}

/// Asks from an address and port of the caller's choice (port 0: any), and says who answered and whom it saw.
pub fn ask_from(
    place: impl Into<Place>,
    protocol: Protocol,
    from: SocketAddr,
    to: SocketAddr,
) -> io::Result<(String, SocketAddr)> {
    let kind = if protocol == Protocol::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let asked = place.into().run(|| {
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
        set_socket_reuseaddr(&socket, true)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(SILENCE))?;
        set_socket_timeout(&socket, Timeout::Send, Some(SILENCE))?;
        bind(&socket, &from)?;
        connect(&socket, &to)?;
        if protocol != Protocol::Tcp {
            send(&socket, b"who?", SendFlags::empty())?;
        }
        let mut line = [0; 512];
        let (_, count) = recv(&socket, &mut line, RecvFlags::empty())?;
        Ok::<_, io::Error>(String::from_utf8_lossy(&line[..count]).into_owned())
    });
    let line = asked.unwrap()?;
    let (name, seen) = line.trim_end().split_once(' ').unwrap();
    Ok((name.to_owned(), seen.parse().unwrap()))
}

/// Asks, and asserts that it is refused at once.
#[track_caller]
pub fn assert_refused(place: impl Into<Place>, protocol: Protocol, to: SocketAddr) {
    let began = Instant::now();
    let error = ask(place, protocol, to).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{protocol} to {to}: {error}");
    assert!(began.elapsed() < AT_ONCE, "{protocol} to {to}: refused after {:?}", began.elapsed());
}

/// Asks all of them at once, and asserts that nothing is heard: no answer, no reset, no ICMP error.
#[track_caller]
pub fn assert_all_silent(place: impl Into<Place>, dials: &[Dial]) {
    let place = place.into();
    let asked = at_once(dials, |(protocol, to)| ask_for(place.clone(), *protocol, *to, SILENCE));
    for ((protocol, to), asked) in dials.iter().zip(asked) {
        let error = asked.expect_err("an answer");
        let silent = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
        assert!(silent, "{protocol} to {to}: {error}");
    }
}

/// Does something with each at the same time.
pub fn at_once<T: Sync, R: Send>(each: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    thread::scope(|scope| {
        let threads: Vec<_> = each.iter().map(|one| scope.spawn(|| work(one))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
