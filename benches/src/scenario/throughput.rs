//! What passes through a NodePort beside what passes on the same way without Shunt: iperf3, and wrk with nginx behind
//! it, in turns within one run. "Direct" is a pod's own address, routed by the same node, while no program is attached.
//!
//! What passes in a second depends on what else the machine does meanwhile; what passes in a second of processor time
//! does not. It is that of client and server: packets cross the lab in the time of who sends them.

use super::Scale;
use crate::{
    cluster::Port,
    outside::{Backend, LINK, Outside},
    processor,
    report::{Figure, Report, Target},
    stage::Stage,
};
use anyhow::{Context as _, Result, ensure};
use shunt::{
    lab::{Program, Scratch, run as run_program},
    model::Protocol,
};
use std::{fs, net::Ipv4Addr, process::Command, thread, time::Duration};

/// A way to load a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    /// One TCP connection that sends as much as it can: gigabits per second.
    Stream,
    /// HTTP requests over 16 connections that stay: requests per second.
    Requests,
    /// HTTP requests with a connection each, 16 at a time: requests per second.
    Connections,
}

const LOADS: [Load; 3] = [Load::Stream, Load::Requests, Load::Connections];

const IPERF: Port = Port { name: "iperf", protocol: Protocol::Tcp, port: 5_201, target: 5_201 };
const HTTP: Port = Port { name: "http", protocol: Protocol::Tcp, port: 80, target: 8_080 };
const NODE_PORTS: [u16; 2] = [30_201, 30_080];

/// Pairs of measurements, each of a second.
const PAIRS: usize = 20;
/// Seconds of one.
const SECONDS: u8 = 1;
const LIMIT: Duration = Duration::from_secs(20);

const DIRECT: &str = "direct";
const THROUGH: &str = "through the NodePort";

/// What should be left of the throughput.
const LEAST_LOCAL: f64 = 0.95;
const LEAST_REMOTE: f64 = 0.9;

/// What passed, in bits or requests.
struct Passed {
    per_second: f64,
    per_processor_second: f64,
}

/// The servers of a pod.
struct Servers {
    _iperf: Program,
    _nginx: Program,
}

/// Runs the scenario.
///
/// # Errors
/// Where the lab cannot be made, a program is not installed, or a client loses a connection.
pub fn run(scale: Scale) -> Result<Report> {
    let mut report = Report::new("throughput", "a client outside and a pod, through a node");
    let (outside, files) = (Outside::new()?, Scratch::new()?);
    for backend in Backend::BOTH {
        let _servers = Servers::start(&outside, backend, &files)?;
        let mut stage = outside.stage(1, vec![IPERF, HTTP], backend, &NODE_PORTS)?;
        for load in LOADS {
            let [direct, through] = pairs(&outside, &mut stage, load, backend, scale)?;
            for (per, of) in [
                ("s", (|passed: &Passed| passed.per_second) as fn(&Passed) -> f64),
                ("CPU s", |passed| passed.per_processor_second),
            ] {
                compare(
                    &mut report,
                    load,
                    backend,
                    per,
                    [&direct, &through].map(|samples| samples.iter().map(of).collect()),
                );
            }
        }
    }
    Ok(report)
}

/// Adds what passed on both ways, per second of some kind, and what should be left.
fn compare(report: &mut Report, load: Load, backend: Backend, per: &str, [direct, through]: [Vec<f64>; 2]) {
    let unit = format!("{}/{per}", load.unit());
    let name = |way| format!("{}, {}, {way}, per {per}", load.text(), backend.text());
    let direct = Figure::new(name(DIRECT), 1, &unit, direct);
    let through = Figure::new(name(THROUGH), 1, &unit, through);
    let least = if backend == Backend::Local { LEAST_LOCAL } else { LEAST_REMOTE };
    let what = format!("{}, {}, per {per}: of what passes directly, medians", load.text(), backend.text());
    report.targets.push(Target::at_least(what, "", least, through.median / direct.median));
    report.figures.extend([direct, through]);
}

/// Both ways in turns, each first as often as second.
fn pairs(
    outside: &Outside,
    stage: &mut Stage,
    load: Load,
    backend: Backend,
    scale: Scale,
) -> Result<[Vec<Passed>; 2]> {
    let (device, entry) = outside.device(LINK)?;
    let pod = outside.pod(backend).ipv4();
    let mut samples = [const { Vec::new() }; 2];
    for pair in 0..scale.times(PAIRS).max(5) {
        for turn in 0..2 {
            let through = (pair + turn) % 2 == 1;
            let packets = stage.programs.packets();
            let node = outside.node();
            if through {
                node.run(|| packets.attach(device.index, &entry))??;
                samples[1].push(load.put(outside, backend, node.ipv4(), load.node_port())?);
            } else {
                node.run(|| packets.detach(device.index))??;
                samples[0].push(load.put(outside, backend, pod, load.port())?);
            }
        }
    }
    outside.node().run(|| stage.programs.packets().detach(device.index))??;
    Ok(samples)
}

impl Load {
    const fn text(self) -> &'static str {
        match self {
            Self::Stream => "iperf3",
            Self::Requests => "wrk",
            Self::Connections => "wrk, a connection per request",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Stream => "Gbit",
            Self::Requests | Self::Connections => "",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Stream => IPERF.target,
            Self::Requests | Self::Connections => HTTP.target,
        }
    }

    const fn node_port(self) -> u16 {
        match self {
            Self::Stream => NODE_PORTS[0],
            Self::Requests | Self::Connections => NODE_PORTS[1],
        }
    }

    /// Puts the load on a path, and weighs what passed.
    fn put(self, outside: &Outside, backend: Backend, to: Ipv4Addr, port: u16) -> Result<Passed> {
        let server = outside.pod(backend).inode()?;
        let taken = || Ok::<_, anyhow::Error>(processor::of_children()? + processor::of_namespace(server)?);
        let before = taken()?;
        let per_second = self.measure(outside, to, port)?;
        let taken = taken()? - before;
        Ok(Passed { per_second, per_processor_second: per_second * f64::from(SECONDS) / taken })
    }

    /// Puts the load on a path, and returns what passed in a second.
    fn measure(self, outside: &Outside, to: Ipv4Addr, port: u16) -> Result<f64> {
        let client = outside.lan.client();
        if self == Self::Stream {
            let mut iperf = Command::new("iperf3");
            iperf.args([
                "--json",
                "--time",
                &SECONDS.to_string(),
                "--client",
                &to.to_string(),
                "--port",
                &port.to_string(),
            ]);
            let text = run_program(client, &mut iperf, LIMIT).context("iperf3")?.stdout;
            let said: serde_json::Value = serde_json::from_slice(&text).context("the output of iperf3")?;
            let rate = said["end"]["sum_received"]["bits_per_second"].as_f64();
            return Ok(rate.with_context(|| format!("iperf3: {}", said["error"]))? / 1e9);
        }
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", "-c16", &format!("-d{SECONDS}s")]);
        if self == Self::Connections {
            wrk.args(["-H", "Connection: close"]);
        }
        let text = run_program(client, wrk.arg(format!("http://{to}:{port}/")), LIMIT).context("wrk")?.stdout;
        let text = String::from_utf8_lossy(&text);
        ensure!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "wrk: {text}");
        let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
        rate.context("wrk says no rate")?.trim().parse().context("the rate that wrk says")
    }
}

impl Servers {
    fn start(outside: &Outside, backend: Backend, files: &Scratch) -> Result<Self> {
        let pod = outside.pod(backend);
        let iperf = Program::start(pod, Command::new("iperf3").args(["--server", "--forceflush"]))?;
        iperf.wait_for("listening", LIMIT)?;
        let (directory, name) = (files.path(), backend.text());
        let config = directory.join(format!("{name}.conf"));
        let text = format!(
            "daemon off; pid {0}/{name}.pid; error_log stderr; worker_processes 1;
             events {{ worker_connections 1024; }}
             http {{ access_log off; keepalive_requests 1000000;
                     server {{ listen {1}; location / {{ return 200 'hello'; }} }} }}",
            directory.display(),
            HTTP.target
        );
        fs::write(&config, text).with_context(|| format!("write({})", config.display()))?;
        let nginx =
            Program::start(pod, Command::new("nginx").arg("-c").arg(&config).arg("-p").arg(directory))?;
        // It says nothing when it is ready.
        let mut answer = Load::Requests.measure(outside, pod.ipv4(), HTTP.target);
        for _ in 0..20 {
            if answer.is_ok() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
            answer = Load::Requests.measure(outside, pod.ipv4(), HTTP.target);
        }
        answer?;
        Ok(Self { _iperf: iperf, _nginx: nginx })
    }
}
