//! What is open while agents come and go, and what their clients must not notice.

use crate::stage::{STICKY, Stage, WEB};
use shunt::lab::{Place, TcpSession, UdpAsker};
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

const PATIENCE: Duration = Duration::from_secs(6);
/// Connections of a client to one address: enough for all endpoints to be among them.
const EACH: usize = 6;

/// A UDP socket that is not connected, and who has answered it.
struct Flow {
    socket: UdpAsker,
    to: SocketAddr,
    name: String,
}

/// A client with session affinity, and whom it is with.
struct Kept {
    place: Place,
    to: SocketAddr,
    name: String,
}

/// Connections and flows through sockets and through packets, and clients that have their endpoint.
pub struct Held {
    streams: Vec<(SocketAddr, TcpSession)>,
    flows: Vec<Flow>,
    kept: Vec<Kept>,
}

impl Held {
    /// Opens all of them.
    pub fn open(stage: &Stage) -> Self {
        let mut held = Self { streams: Vec::new(), flows: Vec::new(), kept: Vec::new() };
        let inside = stage.site.cgroup.at(&stage.inside);
        for to in stage.cluster_ips(WEB) {
            held.open_at(&inside, to);
        }
        let client = Place::from(&stage.clients[0]);
        for to in stage.node_ports(WEB) {
            held.open_at(&client, to);
        }
        let clients = stage
            .clients
            .iter()
            .flat_map(|client| stage.node_ports(STICKY).map(|to| (Place::from(client), to)));
        let kept = stage.cluster_ips(STICKY).map(|to| (inside.clone(), to)).into_iter().chain(clients);
        held.kept = kept.map(|(place, to)| Kept { name: ask_anew(&place, to), place, to }).collect();
        // Endpoints of this node and of another one, so flows that are masqueraded and flows that are not.
        for place in ["inside", "outside"] {
            let here = |to: &SocketAddr| (to.port() == 80) == (place == "inside");
            let of = held.streams.iter().filter(|(to, _)| here(to));
            let names: BTreeSet<_> = of.map(|(_, session)| session.reply().name.clone()).collect();
            assert!(names.contains("there") && names.len() > 1, "{place}: {names:?}");
        }
        held
    }

    fn open_at(&mut self, place: &Place, to: SocketAddr) {
        for _ in 0..EACH {
            let session = place.run(|| TcpSession::open(to, PATIENCE)).unwrap();
            self.streams.push((to, session.unwrap_or_else(|error| panic!("TCP to {to}: {error}"))));
            let socket = || if to.is_ipv4() { UdpAsker::ipv4(PATIENCE) } else { UdpAsker::ipv6(PATIENCE) };
            let socket = place.run(socket).unwrap().unwrap();
            let (name, from) = socket.ask(to).unwrap_or_else(|error| panic!("UDP to {to}: {error}"));
            assert_eq!(from, to, "the answer's address is not restored");
            self.flows.push(Flow { socket, to, name });
        }
    }

    /// Connections of sockets live.
    pub fn check_sockets(&mut self, when: &str) {
        for (to, session) in self.streams.iter_mut().filter(|(to, _)| to.port() == 80) {
            session.exchange(b"still there?").unwrap_or_else(|error| panic!("{when}: TCP to {to}: {error}"));
        }
    }

    /// Every connection lives, every flow and every client is with its endpoint, and all of them see whom they dialled.
    pub fn check(&mut self, when: &str) {
        for (to, session) in &mut self.streams {
            session.exchange(b"still there?").unwrap_or_else(|error| {
                panic!("{when}: TCP to {to}, with {}: {error}", session.reply().name)
            });
            assert_eq!(session.stream().peer_addr().unwrap(), *to, "{when}: getpeername()");
        }
        for Flow { socket, to, name } in &self.flows {
            let answered =
                socket.ask(*to).unwrap_or_else(|error| panic!("{when}: UDP to {to}, with {name}: {error}"));
            assert_eq!(answered, (name.clone(), *to), "{when}: UDP to {to}");
        }
        for Kept { place, to, name } in &self.kept {
            assert_eq!(ask_anew(place, *to), *name, "{when}: session affinity at {to}");
        }
    }
}

/// Who answers a new connection.
fn ask_anew(place: &Place, to: SocketAddr) -> String {
    let session = place.run(|| TcpSession::open(to, PATIENCE)).unwrap();
    session.unwrap_or_else(|error| panic!("TCP to {to}: {error}")).reply().name.clone()
}
