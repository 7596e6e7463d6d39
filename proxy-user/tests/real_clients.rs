//! Real clients and servers through the socket path, in a lab.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod field;

use field::{Field, TIMEOUT, addr, skipped};
use proxy_common::abi::Counter;
use shunt::{
    lab::{Process, TcpServer, UdpAsker, UdpServer, tcp_ask, tcp_ask_many, udp_ask_connected, udp_ask_many},
    model::{Family, Protocol},
};
use std::{
    collections::BTreeSet,
    fs, io,
    net::SocketAddr,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

fn tcp_servers(field: &Field, family: Family, port: u16) -> (Vec<TcpServer>, Vec<SocketAddr>) {
    let addresses: Vec<_> =
        (0..field.lab.pods().len()).map(|pod| SocketAddr::new(field.pod(pod, family), port)).collect();
    let start = |(pod, address): (usize, &SocketAddr)| {
        TcpServer::start(field.lab.pod(pod), &format!("pod-{pod}"), *address).unwrap()
    };
    (addresses.iter().enumerate().map(start).collect(), addresses)
}

fn udp_servers(field: &Field, family: Family, port: u16) -> (Vec<UdpServer>, Vec<SocketAddr>) {
    let addresses: Vec<_> =
        (0..field.lab.pods().len()).map(|pod| SocketAddr::new(field.pod(pod, family), port)).collect();
    let start = |(pod, address): (usize, &SocketAddr)| {
        UdpServer::start(field.lab.pod(pod), &format!("pod-{pod}"), *address).unwrap()
    };
    (addresses.iter().enumerate().map(start).collect(), addresses)
}

/// Runs an external client on the node, in the cgroup that is served.
fn run(field: &Field, program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    field.cgroup.at(field.lab.node()).enter_command(&mut command);
    command.output().unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask test` installs it"))
}

/// Repeats a probe until a server that was just started answers.
fn eventually<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < end, "no answer within ten seconds");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn curl_reaches_nginx_over_a_cluster_ip() {
    if skipped() {
        return;
    }
    let mut field = Field::new(1);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("index.html"), "hello from nginx\n").unwrap();
    let root = dir.path().display();
    let config = format!(
        "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log {root}/error;\n\
         events {{}}\n\
         http {{ access_log {root}/access; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
         fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
         server {{ listen 8080; listen [::]:8080; root {root}; }} }}\n"
    );
    fs::write(dir.path().join("nginx.conf"), config).unwrap();
    let mut nginx = Command::new("nginx");
    nginx.arg("-c").arg(dir.path().join("nginx.conf")).arg("-e").arg(dir.path().join("error"));
    field.lab.pod(0).enter_command(&mut nginx);
    let _nginx = Process::start(nginx.stdout(Stdio::null())).unwrap();

    for (name, frontend, family) in
        [("web4", "10.96.0.10:80", Family::V4), ("web6", "[fd00:96::10]:80", Family::V6)]
    {
        let endpoint = SocketAddr::new(field.pod(0, family), 8080);
        field.serve(name, addr(frontend), Protocol::Tcp, &[endpoint]);
        let url = format!("http://{frontend}/index.html");
        let output = eventually(|| {
            let output = run(&field, "curl", &["--silent", "--show-error", "--max-time", "2", &url]);
            output.status.success().then_some(output)
        });
        assert_eq!(String::from_utf8_lossy(&output.stdout), "hello from nginx\n");
    }
    // The same through the name of the peer: curl prints what getpeername() said.
    let url = "http://10.96.0.10/";
    let output = run(
        &field,
        "curl",
        &[
            "--silent",
            "--max-time",
            "2",
            "--output",
            "/dev/null",
            "--write-out",
            "%{remote_ip}:%{remote_port}",
            url,
        ],
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "10.96.0.10:80");
}

#[test]
fn dig_asks_dnsmasq_over_a_cluster_ip_and_believes_the_reply() {
    if skipped() {
        return;
    }
    let mut field = Field::new(2);
    let mut servers = Vec::new();
    for pod in 0..2 {
        let mut dnsmasq = Command::new("dnsmasq");
        dnsmasq.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
            "--pid-file=",
            "--port=5353",
            "--address=/shunt.test/192.0.2.7",
        ]);
        field.lab.pod(pod).enter_command(&mut dnsmasq);
        servers.push(Process::start(dnsmasq.stdout(Stdio::null()).stderr(Stdio::null())).unwrap());
    }
    for (name, frontend, family) in
        [("dns4", "10.96.0.53:53", Family::V4), ("dns6", "[fd00:96::53]:53", Family::V6)]
    {
        let endpoints: Vec<_> = (0..2).map(|pod| SocketAddr::new(field.pod(pod, family), 5353)).collect();
        field.serve(name, addr(frontend), Protocol::Udp, &endpoints);
        let server = format!("@{}", addr(frontend).ip());
        let args = [server.as_str(), "+short", "+time=1", "+tries=1", "shunt.test"];
        eventually(|| run(&field, "dig", &args).status.success().then_some(()));
        for _ in 0..10 {
            let output = run(&field, "dig", &args);
            // dig names a reply from an unexpected source, and does not take it.
            assert_eq!(String::from_utf8_lossy(&output.stdout), "192.0.2.7\n", "{output:?}");
        }
    }
}

#[test]
fn connections_spread_over_all_endpoints_in_both_families_and_protocols() {
    if skipped() {
        return;
    }
    let mut field = Field::new(3);
    let all: BTreeSet<String> = (0..3).map(|pod| format!("pod-{pod}")).collect();
    for (family, ip) in [(Family::V4, "10.96.0.10"), (Family::V6, "fd00:96::10")] {
        let frontend = SocketAddr::new(ip.parse().unwrap(), 80);
        let (_tcp, endpoints) = tcp_servers(&field, family, 8080);
        field.serve(&format!("tcp-{family}").to_lowercase(), frontend, Protocol::Tcp, &endpoints);
        let (_udp, endpoints) = udp_servers(&field, family, 8081);
        field.serve(&format!("udp-{family}").to_lowercase(), frontend, Protocol::Udp, &endpoints);
        for tally in [
            field.on_node(|| tcp_ask_many(frontend, 200)),
            field.in_pod(0, || tcp_ask_many(frontend, 200)),
            field.on_node(|| udp_ask_many(frontend, 200)),
        ] {
            assert!(tally.errors.is_empty(), "{family}: {tally:?}");
            assert_eq!(tally.answers.keys().cloned().collect::<BTreeSet<_>>(), all);
            // 200 picks of three at random: fewer than 30 for one is less likely than 1 in a million.
            assert!(tally.answers.values().all(|count| *count >= 30), "{family}: {tally:?}");
        }
    }
}

#[test]
fn getpeername_shows_the_cluster_ip_over_tcp_and_connected_udp() {
    if skipped() {
        return;
    }
    let mut field = Field::new(1);
    for (family, ip) in [(Family::V4, "10.96.0.10"), (Family::V6, "fd00:96::10")] {
        let frontend = SocketAddr::new(ip.parse().unwrap(), 80);
        let (_tcp, endpoints) = tcp_servers(&field, family, 8080);
        field.serve(&format!("tcp-{family}").to_lowercase(), frontend, Protocol::Tcp, &endpoints);
        let (_udp, endpoints) = udp_servers(&field, family, 8081);
        field.serve(&format!("udp-{family}").to_lowercase(), frontend, Protocol::Udp, &endpoints);
        let tcp = field.on_node(|| tcp_ask(frontend, TIMEOUT)).unwrap();
        let udp = field.on_node(|| udp_ask_connected(frontend, TIMEOUT)).unwrap();
        assert_eq!((tcp.peer_name, udp.peer_name), (frontend, frontend));
        // The server sees the client itself: nothing on the way is translated.
        assert_eq!(tcp.seen_client, tcp.local);
    }
}

#[test]
fn an_ipv6_socket_that_dials_an_ipv4_mapped_address_is_served_as_ipv4() {
    if skipped() {
        return;
    }
    let mut field = Field::new(2);
    let (_tcp, endpoints) = tcp_servers(&field, Family::V4, 8080);
    field.serve("web", addr("10.96.0.10:80"), Protocol::Tcp, &endpoints);
    let (_udp, endpoints) = udp_servers(&field, Family::V4, 8081);
    field.serve("dns", addr("10.96.0.53:53"), Protocol::Udp, &endpoints);

    let web = addr("[::ffff:10.96.0.10]:80");
    let reply = field.on_node(|| tcp_ask(web, TIMEOUT)).unwrap();
    assert!(reply.name.starts_with("pod-"));
    assert_eq!(reply.peer_name, web);
    let dns = addr("[::ffff:10.96.0.53]:53");
    let (name, from) = field.on_node(|| UdpAsker::ipv6(TIMEOUT).unwrap().ask(dns)).unwrap();
    assert!(name.starts_with("pod-"));
    assert_eq!(from, dns);
    let refused = field.on_node(|| tcp_ask(addr("[::ffff:10.96.0.10]:81"), TIMEOUT)).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn an_unconnected_udp_socket_talks_to_two_services_and_keeps_a_backend_for_each() {
    if skipped() {
        return;
    }
    let mut field = Field::new(3);
    let (one, two) = (addr("10.96.0.1:53"), addr("10.96.0.2:53"));
    let (_a, endpoints) = udp_servers(&field, Family::V4, 5301);
    field.serve("one", one, Protocol::Udp, &endpoints);
    // The same pods behind another port, so that a mix-up would show.
    let (_b, endpoints) = udp_servers(&field, Family::V4, 5302);
    field.serve("two", two, Protocol::Udp, &endpoints);
    let seen = field.on_node(|| {
        let asker = UdpAsker::ipv4(TIMEOUT).unwrap();
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        for _ in 0..20 {
            for (frontend, names) in [one, two].into_iter().zip(&mut seen) {
                let (name, from) = asker.ask(frontend).unwrap();
                assert_eq!(from, frontend, "the reply comes from the address that was dialled");
                names.insert(name);
            }
        }
        seen
    });
    assert_eq!(seen.map(|names| names.len()), [1, 1], "each frontend keeps its backend");
}

#[test]
fn an_unconnected_udp_socket_moves_when_its_backend_is_removed() {
    if skipped() {
        return;
    }
    let mut field = Field::new(3);
    let frontend = addr("10.96.0.53:53");
    let (_servers, endpoints) = udp_servers(&field, Family::V4, 5353);
    field.serve("dns", frontend, Protocol::Udp, &endpoints);
    let asker = field.on_node(|| UdpAsker::ipv4(TIMEOUT).unwrap());
    for _ in 0..3 {
        let (kept, _) = field.on_node(|| asker.ask(frontend)).unwrap();
        let gone: usize = kept.trim_start_matches("pod-").parse().unwrap();
        let rest: Vec<_> = endpoints.iter().copied().filter(|e| *e != endpoints[gone]).collect();
        field.serve("dns", frontend, Protocol::Udp, &rest);
        let (next, from) = field.on_node(|| asker.ask(frontend)).unwrap();
        assert_ne!(next, kept);
        assert_eq!(from, frontend);
        // Back again: a new tenant of the set, but not the one that the socket remembered.
        field.serve("dns", frontend, Protocol::Udp, &endpoints);
        assert_eq!(field.on_node(|| asker.ask(frontend)).unwrap().0, next);
    }
    assert_eq!(field.dataplane.counter(Counter::SendStaleFlow).unwrap(), 3);
}

#[test]
fn a_service_without_endpoints_and_an_unknown_port_are_refused_at_once() {
    if skipped() {
        return;
    }
    let mut field = Field::new(1);
    let (_servers, endpoints) = tcp_servers(&field, Family::V4, 8080);
    field.serve("web", addr("10.96.0.10:80"), Protocol::Tcp, &endpoints);
    field.serve("empty", addr("10.96.0.99:80"), Protocol::Tcp, &[]);
    field.serve("empty-udp", addr("10.96.0.99:53"), Protocol::Udp, &[]);
    for refused in ["10.96.0.99:80", "10.96.0.10:443"] {
        let error = field.on_node(|| tcp_ask(addr(refused), TIMEOUT)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{refused}");
    }
    for refused in ["10.96.0.99:53", "10.96.0.10:53"] {
        let error = field.on_node(|| UdpAsker::ipv4(TIMEOUT).unwrap().ask(addr(refused))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{refused}");
    }
    for (counter, count) in [
        (Counter::ConnectNoEndpoint, 1),
        (Counter::ConnectUnknownPort, 1),
        (Counter::SendNoEndpoint, 1),
        (Counter::SendUnknownPort, 1),
        (Counter::ReverseFull, 0),
        (Counter::Inconsistent, 0),
    ] {
        assert_eq!(field.dataplane.counter(counter).unwrap(), count, "{}", counter.name());
    }
    // What is no Service's address is left alone.
    assert_eq!(field.on_node(|| tcp_ask(endpoints[0], TIMEOUT)).unwrap().name, "pod-0");
}

#[test]
fn a_connected_udp_socket_that_names_its_peer_again_goes_on_with_its_backend() {
    if skipped() {
        return;
    }
    let mut field = Field::new(4);
    let fronts = ["10.96.0.53:53", "[fd00:10:96::53]:53"].map(addr);
    let mut servers = Vec::new();
    for (name, front, family) in [("dns4", fronts[0], Family::V4), ("dns6", fronts[1], Family::V6)] {
        let (started, backends) = udp_servers(&field, family, 5353);
        field.serve(name, front, Protocol::Udp, &backends);
        servers.push(started);
    }
    for front in [fronts[0], fronts[1], addr("[::ffff:10.96.0.53]:53")] {
        for _ in 0..16 {
            let (name, from) = field
                .on_node(|| {
                    let asker =
                        if front.is_ipv4() { UdpAsker::ipv4(TIMEOUT) } else { UdpAsker::ipv6(TIMEOUT) }?;
                    asker.socket().connect(front)?;
                    // The kernel delivers replies of the peer that it knows, and of nobody else.
                    asker.ask(front)
                })
                .unwrap();
            assert!(name.starts_with("pod-") && from == front, "{name} {from}");
        }
    }
    assert_eq!(field.dataplane.counter(Counter::Inconsistent).unwrap(), 0);
}
