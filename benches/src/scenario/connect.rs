//! connect() through a service beside connect() to the same server directly, by UDP (which sends no
//! packet) and TCP, to a server in another namespace. All variants take turns within one run, so
//! that what disturbs the machine meets all of them.

use super::{ENDPOINTS, Scale};
use crate::{
    clock::Stopwatch,
    cluster::{Port, SampleCluster},
    random::Random,
    report::{Figure, Report, Target},
    stage::Stage,
};
use anyhow::{Context as _, Result, ensure};
use proxy_common::abi::Counter;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt::set_socket_linger};
use shunt::{
    lab::{self, Lab, Place},
    model::Protocol,
};
use std::{
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

/// What the server listens on, and what services have in front of it: DNS, and HTTP.
const TCP: Port = Port { name: "http", protocol: Protocol::Tcp, port: 80, target: 8080 };
const UDP: Port = Port { name: "dns", protocol: Protocol::Udp, port: 53, target: 5353 };

/// Sockets of each variant that are made at a time: all variants together stay below the usual
/// limit of 1024 open files.
const BATCH: usize = 64;

/// Batches of each protocol.
const BATCHES: usize = 300;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Microseconds that a service may add to connect().
const LIMIT: f64 = 0.8;

const NONE: &str = "direct, no program";
const DIRECT: &str = "direct, programs attached";
const SAME: &str = "through the same service";
const SOME: &str = "through a random one of 100 services";
const ANY: &str = "through a random one of all services";

/// Services that the clients of a node dial again and again.
const WORKING_SET: u32 = 100;

/// What is dialled, and how the socket's cgroup is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    None,
    Direct,
    Same,
    Some,
    Any,
}

/// One kind of connect at one size.
struct Variant<'a> {
    route: Route,
    /// Absent without programs.
    stage: Option<&'a Stage>,
    samples: Vec<f64>,
}

/// Where connections come from and where they go.
struct Net {
    lab: Lab,
    /// A cgroup without programs.
    plain: lab::Cgroup,
    listener: TcpListener,
    servers: Vec<Ipv4Addr>,
}

/// Runs the scenario.
///
/// # Errors
/// Where lab or stages cannot be made, or a connection goes elsewhere than it should.
pub fn run(scale: Scale) -> Result<Report> {
    let about = "connect() of a fresh socket to a server in another namespace";
    let mut report = Report::new("connect", about);
    let net = Net::new()?;
    let [_, middle, most] = scale.sizes();
    let sizes = [1, middle, most];
    let mut stages = Vec::new();
    for services in sizes {
        let mut stage = Stage::filled(SampleCluster::shared(services, vec![TCP, UDP], net.servers.clone()))?;
        stage.attach()?;
        stages.push(stage);
    }
    for (port, name) in [(UDP, "UDP"), (TCP, "TCP")] {
        let figures = net.measure(port, &stages, scale)?;
        report
            .figures
            .extend(figures.into_iter().map(|f| Figure { what: format!("{name} {}", f.what), ..f }));
        targets(&mut report, name, &sizes)?;
    }
    for stage in &stages {
        net.check(stage, scale)?;
    }
    Ok(report)
}

fn targets(report: &mut Report, name: &str, sizes: &[u32]) -> Result<()> {
    let none = report.median(&format!("{name} {NONE}"), 0)?;
    for services in sizes {
        let direct = report.median(&format!("{name} {DIRECT}"), *services)?;
        for what in [SAME, SOME, ANY] {
            let Ok(through) = report.median(&format!("{name} {what}"), *services) else { continue };
            for (than, base) in [(DIRECT, direct), (NONE, none)] {
                let what = format!("{name} connect {what}, {services} services: more than {than}");
                report.targets.push(Target::at_most(what, "us", LIMIT, through - base));
            }
        }
    }
    Ok(())
}

impl Net {
    fn new() -> Result<Self> {
        let lab = Lab::new(1)?;
        // Ten servers, which are one that answers at ten addresses.
        let servers: Vec<_> = (1..=ENDPOINTS as u8).map(|host| Ipv4Addr::new(10, 244, 255, host)).collect();
        for server in &servers {
            lab.node().add_address("lo", (*server).into(), 32)?;
        }
        let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, TCP.target);
        let listener = lab.node().run(|| TcpListener::bind(any))?.context("bind")?;
        listener.set_nonblocking(true)?;
        Ok(Self { lab, plain: lab::Cgroup::new()?, listener, servers })
    }

    /// All variants of one protocol, in turns.
    fn measure(&self, port: Port, stages: &[Stage], scale: Scale) -> Result<Vec<Figure>> {
        let variant = |route, stage| Variant { route, stage, samples: Vec::new() };
        let mut variants = vec![variant(Route::None, None)];
        for stage in stages {
            variants.extend([Route::Direct, Route::Same].map(|route| variant(route, Some(stage))));
            if stage.cluster.services() > WORKING_SET {
                variants.extend([Route::Some, Route::Any].map(|route| variant(route, Some(stage))));
            }
        }
        let (clock, mut random) = (Stopwatch::calibrated(), Random::new(1));
        for _ in 0..scale.times(BATCHES) {
            let mut sockets = variants
                .iter()
                .map(|variant| self.sockets(variant, port.protocol))
                .collect::<Result<Vec<_>>>()?;
            for turn in 0..BATCH {
                for place in 0..variants.len() {
                    // Each variant follows each other one equally often.
                    let place = (place + turn) % variants.len();
                    let socket = sockets[place].pop().context("a socket for each turn")?;
                    let to = self.destination(&variants[place], port, &mut random);
                    let span = self.connect(socket, to, port.protocol, &clock)?;
                    variants[place].samples.push(span / 1e3);
                }
            }
        }
        let figure = |v: Variant<'_>| {
            let services = v.stage.map_or(0, |stage| stage.cluster.services());
            Figure::new(v.route.text(), services, "us", v.samples)
        };
        Ok(variants.into_iter().map(figure).collect())
    }

    /// A socket belongs for life to the cgroup and namespace of the thread that made it.
    fn sockets(&self, variant: &Variant<'_>, protocol: Protocol) -> Result<Vec<OwnedFd>> {
        let kind = if protocol == Protocol::Tcp { SocketType::STREAM } else { SocketType::DGRAM };
        let client = Place::from(self.lab.pod(0));
        let cgroup = variant.stage.map_or(&self.plain, |stage| &stage.cgroup);
        let make = || net::socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None);
        let made = cgroup.run_in(client, || (0..BATCH).map(|_| make()).collect::<Result<Vec<_>, _>>())?;
        made.context("socket")
    }

    fn destination(&self, variant: &Variant<'_>, port: Port, random: &mut Random) -> SocketAddrV4 {
        let cluster = variant.stage.map(|stage| &stage.cluster);
        let service = match (variant.route, cluster) {
            (Route::Same, Some(cluster)) => Some(cluster.services() / 2),
            // Spread over the maps.
            (Route::Some, Some(cluster)) => {
                Some(random.below(WORKING_SET) * (cluster.services() / WORKING_SET))
            }
            (Route::Any, Some(cluster)) => Some(random.below(cluster.services())),
            _ => None,
        };
        match (service, cluster) {
            (Some(service), Some(cluster)) => SocketAddrV4::new(cluster.cluster_ip(service), port.port),
            _ => SocketAddrV4::new(self.servers[random.below(ENDPOINTS) as usize], port.target),
        }
    }

    /// Nanoseconds of connect(). No other thread takes part: the server's end is accepted
    /// afterwards, and a reset ends both without TIME_WAIT.
    fn connect(
        &self,
        socket: OwnedFd,
        to: SocketAddrV4,
        protocol: Protocol,
        clock: &Stopwatch,
    ) -> Result<f64> {
        let mut result = Ok(());
        let span = clock.time(|| result = net::connect(&socket, &to));
        result.with_context(|| format!("connect({to})"))?;
        if protocol == Protocol::Tcp {
            let (server, _) = self.listener.accept().context("accept")?;
            set_socket_linger(&socket, Some(Duration::ZERO)).context("setsockopt")?;
            drop(socket);
            drop(server);
        }
        Ok(span)
    }

    /// The programs counted every connect through a service, and a service answers.
    fn check(&self, stage: &Stage, scale: Scale) -> Result<()> {
        let counters = stage.engine.writer().counters()?;
        let routes = if stage.cluster.services() > WORKING_SET { 3 } else { 1 };
        let wanted = (scale.times(BATCHES) * BATCH * routes * 2) as u64;
        let forwarded = counters[Counter::ConnectForwarded as usize];
        ensure!(forwarded == wanted, "{forwarded} connects through services of {wanted}");
        let to = SocketAddrV4::new(stage.cluster.cluster_ip(0), TCP.port);
        let client = Place::from(self.lab.pod(0));
        let stream = stage
            .cgroup
            .run_in(client, || TcpStream::connect_timeout(&to.into(), TIMEOUT))?
            .context("connect")?;
        let (server, from) = self.listener.accept().context("accept")?;
        ensure!(stream.local_addr()? == from, "a connection came from elsewhere");
        drop((stream, server));
        Ok(())
    }
}

impl Route {
    const fn text(self) -> &'static str {
        match self {
            Self::None => NONE,
            Self::Direct => DIRECT,
            Self::Same => SAME,
            Self::Some => SOME,
            Self::Any => ANY,
        }
    }
}
