//! A node with pods whose sockets Shunt serves: the lab, a dataplane of its own, and Services in
//! a few words.
#![allow(dead_code, reason = "each test file uses its own part")]

use shunt::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel,
    lab::{Bpffs, Cgroup, Lab, available},
    model::{Endpoint, EndpointSlice, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
    writer::Capacities,
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

pub const NODE: &str = "lab-node";
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Everything a test stands in. Fields are dropped in their order: what is attached goes first.
pub struct Field {
    pub dataplane: Dataplane,
    _pins: Pins,
    pub lab: Lab,
    pub cgroup: Cgroup,
    pub bpffs: Bpffs,
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

/// Why no lab can be made here, printed; a machine that must have one says so by SHUNT_REQUIRE_LAB.
pub fn skipped() -> bool {
    match available() {
        Ok(()) => false,
        Err(reason) => {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            true
        }
    }
}

impl Field {
    pub fn new(pods: usize) -> Self {
        Self::with(pods, Capacities::for_cluster(200, 10))
    }

    pub fn with(pods: usize, capacities: Capacities) -> Self {
        let (lab, cgroup, bpffs) = (Lab::new(pods).unwrap(), Cgroup::new().unwrap(), Bpffs::new().unwrap());
        let options = Options {
            cgroup: cgroup.path().to_owned(),
            pin_path: bpffs.path().join("shunt"),
            capacities,
            ..Options::default()
        };
        let dataplane = Dataplane::open(NODE, Rules::default(), &options).unwrap();
        Self { dataplane, _pins: Pins(options.pin_path), lab, cgroup, bpffs }
    }

    /// Runs a client on the node, in the cgroup that is served.
    pub fn on_node<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.cgroup.run_in(self.lab.node(), work).unwrap()
    }

    /// Runs a client in a pod, in the cgroup that is served.
    pub fn in_pod<T: Send>(&self, pod: usize, work: impl FnOnce() -> T + Send) -> T {
        self.cgroup.run_in(self.lab.pod(pod), work).unwrap()
    }

    /// Address of a pod.
    pub fn pod(&self, pod: usize, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.lab.pod(pod).ipv4().into(),
            Family::V6 => self.lab.pod(pod).ipv6().into(),
        }
    }

    /// Makes `name` a Service of one port over endpoints, and programs it.
    pub fn serve(&mut self, name: &str, frontend: SocketAddr, protocol: Protocol, endpoints: &[SocketAddr]) {
        for event in service(name, frontend, protocol, endpoints) {
            self.dataplane.apply(event);
        }
        self.dataplane.sync().unwrap();
    }
}

/// A Service of one port, and one slice of ready endpoints, which share a port number.
pub fn service(
    name: &str,
    frontend: SocketAddr,
    protocol: Protocol,
    endpoints: &[SocketAddr],
) -> [shunt::model::Event; 2] {
    let mut service = Service::cluster_ip(ObjectName::new("default", name), vec![frontend.ip()]);
    service.ports.push(ServicePort { name: "main".into(), protocol, port: frontend.port(), node_port: None });
    let port = endpoints.first().map_or(1, SocketAddr::port);
    let slice = EndpointSlice {
        name: ObjectName::new("default", format!("{name}-1")),
        service: name.into(),
        family: Family::of(&frontend.ip()),
        ports: vec![SlicePort { name: "main".into(), protocol, port }],
        endpoints: endpoints.iter().map(|e| Endpoint::ready(e.ip())).collect(),
    };
    [shunt::model::Event::ServiceApplied(service), shunt::model::Event::SliceApplied(slice)]
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
