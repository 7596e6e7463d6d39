//! The dataplane, told of endpoints that go, terminate and come back, also by a restart.

use crate::{
    field::{NODE, addr, service, skipped},
    pods::{BOTH, Client, PORT, Pods, assert_moved, line},
};
use shunt::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel::{self, Closed},
    lab::{Bpffs, Cgroup},
    model::{Conditions, Event, ObjectName, Protocol},
    writer::Capacities,
};
use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Ready, or on the way out.
const READY: Conditions = Conditions { ready: true, serving: true, terminating: false };
const STILL_SERVING: Conditions = Conditions { ready: false, serving: true, terminating: true };
const NOT_SERVING: Conditions = Conditions { ready: false, serving: false, terminating: true };

/// One Service of each family and protocol.
const SERVICES: [(&str, &str, Protocol); 4] = [
    ("dns4", "10.96.0.53:53", Protocol::Udp),
    ("dns6", "[fd00:96::53]:53", Protocol::Udp),
    ("web4", WEB[0], Protocol::Tcp),
    ("web6", WEB[1], Protocol::Tcp),
];
const WEB: [&str; 2] = ["10.96.0.80:80", "[fd00:96::80]:80"];

/// A node with an agent that may be away. Fields are dropped in their order.
struct Stand {
    agent: Option<Dataplane>,
    _pins: Pins,
    options: Options,
    pods: Pods,
    cgroup: Cgroup,
    _bpffs: Bpffs,
}

/// Detaches and unpins when a test ends, also by a panic.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = kernel::remove(&self.0) {
            eprintln!("pins stay behind: {error}");
        }
    }
}

impl Stand {
    fn new() -> Self {
        let (cgroup, bpffs) = (Cgroup::new().unwrap(), Bpffs::new().unwrap());
        let options = Options {
            cgroup: cgroup.path().to_owned(),
            pin_path: bpffs.path().join("shunt"),
            capacities: Capacities::for_cluster(200, 10),
            ..Options::default()
        };
        let pins = Pins(options.pin_path.clone());
        let mut stand = Self { agent: None, _pins: pins, options, pods: Pods::new(), cgroup, _bpffs: bpffs };
        stand.start(&BOTH.map(|pod| (pod, READY)));
        stand
    }

    /// Starts the agent, which reads the whole list before it programs anything.
    fn start(&mut self, endpoints: &[(usize, Conditions)]) {
        self.agent = Some(Dataplane::open(NODE, Rules::default(), &self.options).unwrap());
        self.sync(endpoints);
    }

    /// Lets the agent end; what it programmed goes on.
    fn stop(&mut self) {
        self.agent = None;
    }

    /// Tells the agent the endpoints of all Services.
    fn sync(&mut self, endpoints: &[(usize, Conditions)]) {
        let agent = self.agent.as_mut().unwrap();
        for (name, frontend, protocol) in SERVICES {
            let ip = |pod: usize| match addr(frontend) {
                SocketAddr::V4(_) => IpAddr::from(self.pods.lab.pod(pod).ipv4()),
                SocketAddr::V6(_) => self.pods.lab.pod(pod).ipv6().into(),
            };
            let addresses: Vec<_> =
                endpoints.iter().map(|(pod, _)| SocketAddr::new(ip(*pod), PORT)).collect();
            for mut event in service(name, addr(frontend), protocol, &addresses) {
                if let Event::SliceApplied(slice) = &mut event {
                    for (endpoint, (_, conditions)) in slice.endpoints.iter_mut().zip(endpoints) {
                        endpoint.conditions = *conditions;
                    }
                }
                agent.apply(event);
            }
        }
        agent.sync().unwrap();
    }

    fn close(&self) -> Closed {
        self.agent.as_ref().unwrap().close_stale_sockets().unwrap()
    }
}

#[test]
fn clients_of_a_removed_backend_notice_and_those_of_the_others_do_not() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let (clients, mut streams) = (stand.pods.clients(&stand.cgroup), stand.pods.streams(&stand.cgroup, WEB));
    assert_eq!(stand.close().namespaces, 0, "no backend has gone");

    stand.sync(&[(1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
    for stream in &mut streams {
        stream.write_all(b"still there\n").unwrap();
        assert_eq!(line(stream), "still there\n", "an established TCP connection is never cut");
    }
    assert_eq!(stand.close().closed, 0, "each is closed once");
}

#[test]
fn a_backend_that_is_removed_while_the_agent_is_away_loses_its_clients_at_the_next_start() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.pods.clients(&stand.cgroup);
    stand.stop();
    assert!(clients.iter().all(|client| client.ask().unwrap() == client.server));
    stand.start(&[(1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
}

#[test]
fn an_agent_that_ended_before_it_could_close_them_does_so_at_the_next_start() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.pods.clients(&stand.cgroup);
    stand.sync(&[(1, READY)]);
    stand.stop();
    // Nothing has changed since, so the sync frees nothing; the maps still know whose backend is gone.
    stand.start(&[(1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
}

#[test]
fn a_terminating_backend_keeps_its_clients_for_as_long_as_it_serves() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.pods.clients(&stand.cgroup);
    stand.sync(&[(0, STILL_SERVING), (1, READY)]);
    assert_eq!(stand.close().namespaces, 0, "it gets no new clients and keeps those it has");
    // Also over a restart.
    stand.stop();
    stand.start(&[(0, STILL_SERVING), (1, READY)]);
    assert_eq!(stand.close().namespaces, 0);
    assert!(clients.iter().all(|client| client.ask().unwrap() == client.server));

    stand.sync(&[(0, NOT_SERVING), (1, READY)]);
    assert_eq!(stand.close().closed, 6);
    assert_moved(clients, 0);
}

#[test]
fn a_deleted_service_and_one_without_endpoints_lose_all_their_clients() {
    if skipped() {
        return;
    }
    let mut stand = Stand::new();
    let clients = stand.pods.clients(&stand.cgroup);
    let agent = stand.agent.as_mut().unwrap();
    agent.delete_service(ObjectName::new("default", "dns4"));
    agent.delete_endpoints(ObjectName::new("default", "dns6-1"));
    agent.sync().unwrap();
    assert_eq!(stand.close().closed, clients.len());
    assert!(clients.iter().all(Client::was_aborted));
}
