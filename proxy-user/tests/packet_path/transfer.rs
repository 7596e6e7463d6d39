//! Real clients and large transfers, with and without what devices leave to their hardware.

use crate::{
    ask::PATIENCE,
    backend::Backend,
    programs::{Nginx, client, text},
    service::{KINDS, Kind, frontend, ready, service},
    stage::{Setup, Stage},
};
use serde_json::Value;
use shunt::{
    lab::{
        Place, Program, TcpSession,
        lan::{Options, Overlay},
    },
    model::{Family, Protocol},
};
use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

/// Every way that data may go: overlay, offload.
const WAYS: [(Overlay, bool); 4] =
    [(Overlay::Plain, false), (Overlay::Plain, true), (Overlay::Vxlan, false), (Overlay::Vxlan, true)];

const LIMIT: Duration = Duration::from_secs(20);

/// Bytes that repeat late.
fn bytes(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| number.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect()
}

fn stage(overlay: Overlay, offload: bool) -> Option<Stage> {
    let lan = Options { overlay, offload, ..Options::default() };
    Stage::new(&Setup { lan, ..Setup::default() })
}

/// A pod on the first node, of Service 1, and one on the second, of Service 2; nobody listens in them.
fn bare(stage: &mut Stage) -> [Backend; 2] {
    let backends = [stage.bare_pod(0, "near"), stage.bare_pod(1, "far")];
    for (number, backend) in (1..).zip(&backends) {
        stage.serve(&service(number), &ready(&[backend]));
    }
    backends
}

#[test]
fn curl_gets_from_nginx_what_is_there() {
    for (overlay, offload) in WAYS {
        let Some(mut stage) = stage(overlay, offload) else { return };
        let backends = bare(&mut stage);
        let large = bytes(1 << 20);
        for (number, backend) in (1..).zip(&backends) {
            let nginx = Nginx::start(backend);
            fs::write(nginx.files.path().join("large"), &large).unwrap();
            for (family, kind) in Family::BOTH.into_iter().flat_map(|family| KINDS.map(|kind| (family, kind)))
            {
                let to = frontend(number, kind, family, stage.node());
                let get = |path: &str| {
                    let url = format!("http://{to}/{path}");
                    let args = ["--silent", "--show-error", "--max-time", "10", &url];
                    client(&**stage.client(), "curl", &args, LIMIT)
                };
                let seen = match (overlay, number, family) {
                    (_, 1, _) => stage.client().ip_like(to.ip()).to_string(),
                    (Overlay::Plain, ..) => stage.node().ip_like(to.ip()).to_string(),
                    (Overlay::Vxlan, _, Family::V4) => "10.244.1.0".to_owned(),
                    (Overlay::Vxlan, _, Family::V6) => "fd00:10:244:1::".to_owned(),
                };
                assert_eq!(text(&get("who")), format!("{} {seen}\n", backend.name()));
                if kind == Kind::NodePort {
                    assert!(get("large").stdout == large, "{to}: another file");
                }
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn what_goes_both_ways_at_once_arrives_whole() {
    for (overlay, offload) in WAYS {
        let Some(mut stage) = stage(overlay, offload) else { return };
        let backends = [stage.pod(0, "near"), stage.pod(1, "far"), stage.routed_pod(0, "routed")];
        let data = bytes(1 << 18);
        for (number, backend) in (1..).zip(&backends) {
            stage.serve(&service(number), &ready(&[backend]));
            for family in Family::BOTH {
                let to = frontend(number, Kind::LoadBalancer, family, stage.node());
                let mut session = stage.client().run(|| TcpSession::open(to, PATIENCE)).unwrap().unwrap();
                session.exchange(&data).unwrap_or_else(|error| panic!("{overlay:?} {offload} {to}: {error}"));
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn iperf3_sends_and_receives_over_tcp_and_udp() {
    for (overlay, offload) in [WAYS[0], WAYS[3]] {
        let Some(mut stage) = stage(overlay, offload) else { return };
        let backends = bare(&mut stage);
        for (number, backend) in (1..).zip(&backends) {
            let mut server = Command::new("iperf3");
            let server =
                Program::start(backend.place(), server.args(["-s", "-p", "8080", "--forceflush"])).unwrap();
            server.wait_for("listening", PATIENCE).unwrap();
            for (family, way) in Family::BOTH.into_iter().zip([&[][..], &["-R"]]) {
                let to = frontend(number, Kind::NodePort, family, stage.node());
                let tcp = iperf3(&stage, to, &[way, &["-n", "8M", "-w", "64K"]].concat());
                // It ends when all is sent; what is under way then does not count.
                let bytes = |sum: &str| tcp["end"][sum]["bytes"].as_u64().unwrap();
                let (sent, received) = (bytes("sum_sent"), bytes("sum_received"));
                assert!(sent >= 8 << 20 && received >= 7 << 20, "{to}: {received} bytes of {sent}");
                let places = [Place::from(&**stage.client()), backend.place()];
                let before = full_sockets(&places);
                let udp = iperf3(&stage, to, &[way, &["-u", "-b", "20M", "-n", "400K"]].concat());
                let number = |name: &str| udp["end"]["sum"][name].as_u64().unwrap();
                let (lost, all, full) =
                    (number("lost_packets"), number("packets"), full_sockets(&places) - before);
                // On a busy machine the receiver does not keep up; on the way none is lost.
                assert!(all > 200 && lost <= full, "{to}: {lost} of {all} lost, {full} by full sockets");
            }
        }
        drop(backends);
        stage.assert_nothing_left();
    }
}

/// How many datagrams these places have lost because a socket had no room for more.
fn full_sockets(places: &[Place]) -> u64 {
    let read = |name: &str| fs::read_to_string(Path::new("/proc/thread-self/net").join(name)).unwrap();
    let count = || {
        // Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors …, and again with numbers.
        let v4 = read("snmp").lines().filter(|line| line.starts_with("Udp:")).nth(1).unwrap().to_owned();
        let v6 = read("snmp6").lines().find(|line| line.starts_with("Udp6RcvbufErrors")).unwrap().to_owned();
        let number =
            |line: &str, word: usize| -> u64 { line.split_whitespace().nth(word).unwrap().parse().unwrap() };
        number(&v4, 5) + number(&v6, 1)
    };
    places.iter().map(|place| place.run(count).unwrap()).sum()
}

fn iperf3(stage: &Stage, to: SocketAddr, args: &[&str]) -> Value {
    let (ip, port) = (to.ip().to_string(), to.port().to_string());
    let args = [&["-J", "-c", &ip, "-p", &port][..], args].concat();
    serde_json::from_str(&text(&client(&**stage.client(), "iperf3", &args, LIMIT))).unwrap()
}

#[test]
fn dig_asks_dnsmasq_and_believes_the_answer() {
    let Some(mut stage) = stage(Overlay::Plain, false) else { return };
    let backends = bare(&mut stage);
    for (number, backend) in (1..).zip(&backends) {
        let mut command = Command::new("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
        ]);
        command.args(["--pid-file=", "--port=8080", "--log-queries", "--log-facility=-"]);
        let dnsmasq =
            Program::start(backend.place(), command.arg("--address=/shunt.test/192.0.2.7")).unwrap();
        dnsmasq.wait_for("started", PATIENCE).unwrap();
        for (protocol, to) in stage.dials(number, &KINDS) {
            let (server, port) = (format!("@{}", to.ip()), to.port().to_string());
            let mut args = vec![&*server, "-p", &port, "+short", "+time=2", "+tries=1", "shunt.test"];
            args.extend((protocol == Protocol::Tcp).then_some("+tcp"));
            // dig names a reply from an unexpected source, and does not take it.
            assert_eq!(
                text(&client(&**stage.client(), "dig", &args, LIMIT)),
                "192.0.2.7\n",
                "{protocol} {to}"
            );
        }
        let seen = if number == 1 { stage.client().ipv4() } else { stage.node().ipv4() };
        assert!(dnsmasq.stderr().contains(&format!("from {seen}")), "{}", dnsmasq.stderr());
    }
    drop(backends);
    stage.assert_nothing_left();
}

#[test]
fn wrk_loses_no_connection_while_endpoints_come_and_go() {
    let Some(mut stage) = stage(Overlay::Plain, true) else { return };
    let pods =
        [(0, "one"), (0, "two"), (1, "three"), (1, "four")].map(|(node, name)| stage.bare_pod(node, name));
    let nginx = [0, 1, 2, 3].map(|pod| Nginx::start(&pods[pod]));
    // One stays, the others come and go: what had reached one that went goes on with it.
    let endpoints = |mask: usize| {
        let chosen: Vec<_> =
            (0..4).filter(|pod| *pod == 0 || mask >> pod & 1 == 1).map(|pod| &pods[pod]).collect();
        ready(&chosen)
    };
    stage.serve(&service(1), &endpoints(0));
    for family in Family::BOTH {
        let url = format!("http://{}/who", frontend(1, Kind::NodePort, family, stage.node()));
        let mut command = Command::new("wrk");
        // A connection for each request.
        command.args(["-t1", "-c8", "-d1", "-H", "Connection: close", &url]);
        let wrk = Program::start(&**stage.client(), &mut command).unwrap();
        for change in 0..400 {
            stage.serve(&service(1), &endpoints(change % 16));
        }
        let output = wrk.finish(LIMIT).unwrap();
        let printed = text(&output);
        assert!(output.status.success() && printed.contains("requests in"), "{output:?}");
        assert!(!printed.contains("Socket errors") && !printed.contains("Non-2xx"), "{printed}");
    }
    drop((nginx, pods));
    stage.assert_nothing_left();
}
