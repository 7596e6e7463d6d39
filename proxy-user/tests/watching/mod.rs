//! A node that is watched: an agent with the golden cluster's Services, and clients in a network namespace with
//! loopback alone, where one endpoint listens.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in #[test] functions, but not in their helpers

use crate::command::{Agent, LIMIT, Site, shunt, signal};
use crate::golden;
use rustix::process::Signal;
use serde_json::Value;
use shunt::lab::{Namespace, Process};
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::ExitStatus,
    thread,
    time::{Duration, Instant},
};

/// The one that can be reached: `default/near:http`, and where its endpoint of this node listens.
pub const NEAR: &str = "10.96.0.30:80";
pub const NEAR_ENDPOINT: &str = "10.244.1.31:8080";

pub struct Watched {
    pub clients: Namespace,
    pub agent: Option<Agent>,
    pub site: Site,
    listener: TcpListener,
}

impl Watched {
    pub fn new() -> Self {
        let site = Site::new();
        let cluster = fs::read_to_string(golden::path("cluster.yaml")).unwrap();
        site.save("all.yaml", &cluster.replace("n1", "lab-node"));
        let agent = Some(site.start(&site.manifests(), &[]));
        let clients = Namespace::new("clients").unwrap();
        let endpoint: SocketAddr = NEAR_ENDPOINT.parse().unwrap();
        clients.add_address("lo", endpoint.ip(), 32).unwrap();
        let listener = clients.run(|| TcpListener::bind(endpoint)).unwrap().unwrap();
        Self { clients, agent, site, listener }
    }

    /// Runs `work` where the agent's programs decide.
    pub fn dial<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.site.cgroup.run_in(&self.clients, work).unwrap()
    }

    /// connect() of TCP, which may fail.
    pub fn connect(&self, to: &str) {
        let to: SocketAddr = to.parse().unwrap();
        let connected = self.dial(|| TcpStream::connect_timeout(&to, LIMIT));
        if to == NEAR.parse().unwrap() {
            connected.unwrap();
            self.listener.accept().unwrap();
        }
    }

    /// Datagrams of one unconnected socket. Where they would go there is no route.
    pub fn send(&self, to: &str, datagrams: usize) {
        let to: SocketAddr = to.parse().unwrap();
        self.dial(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            for _ in 0..datagrams {
                let _ = socket.send_to(b"?", to);
            }
        });
    }

    /// Starts a command that goes on, and waits until it says on standard error that it has begun.
    pub fn start(&self, args: &[&str], begun: &str) -> Running {
        let [out, err] = ["out", "err"].map(|name| {
            let number = fs::read_dir(self.site.directory.path()).unwrap().count();
            self.site.directory.path().join(format!("{number}-{name}"))
        });
        let mut command = shunt(&[args, &["--pin-path", &self.site.pins()]].concat());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let mut running = Running { process: Process::start(&mut command).unwrap(), out, err };
        running.wait_for(begun, |running| running.err().contains(begun));
        running
    }

    /// `shunt trace -o json` with more arguments.
    pub fn trace(&self, more: &[&str]) -> Running {
        self.start(&[&["trace", "-o", "json"], more].concat(), "decisions are shown")
    }
}

/// A command that runs. Dropping it kills it.
pub struct Running {
    process: Process,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    pub fn id(&mut self) -> u32 {
        self.process.child().id()
    }

    pub fn out(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }

    pub fn err(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    /// The whole lines of its output, as JSON.
    pub fn objects(&self) -> Vec<Value> {
        let out = self.out();
        let whole = out.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until so many objects are there; no more must be.
    pub fn wait_for_objects(&mut self, count: usize) -> Vec<Value> {
        self.wait_for("objects", |running| running.objects().len() >= count);
        let objects = self.objects();
        assert_eq!(objects.len(), count, "{objects:#?}");
        objects
    }

    pub fn wait_for(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            let ended = self.process.child().try_wait().unwrap();
            // What it wrote last may have been missed.
            assert!(ended.is_none() || done(self), "it ended, {ended:?}: {}", self.err());
            assert!(Instant::now() < end, "never happened: {what}; {} {}", self.out(), self.err());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&mut self, which: Signal) {
        signal(self.id(), which);
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.process.child().try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it goes on: {}", self.err());
            thread::sleep(Duration::from_millis(5));
        }
    }
}
