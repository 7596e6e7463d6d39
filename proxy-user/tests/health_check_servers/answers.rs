//! What load balancers read.

use super::{
    Servers,
    http::{Answer, LIMIT, ask_by, connect, exchange, free_port, status, wait_until},
    ready,
};
use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr},
    time::Instant,
};

/// A Service `default/web` on an address and a free port.
fn web(address: &str, count: u32) -> (Servers, SocketAddr) {
    let servers = Servers::start(&[address]);
    let at = SocketAddr::new(address.parse().unwrap(), free_port(address.parse().unwrap()));
    servers.change(&[("web", ready(at.port(), count))]);
    wait_until("it listens", || status(at).is_some());
    (servers, at)
}

fn body(count: u32, is_healthy: bool) -> String {
    format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t}},\n\
         \t\"localEndpoints\": {count},\n\t\"serviceProxyHealthy\": {is_healthy}\n}}"
    )
}

fn head(status: &str, count: u32, length: usize) -> Vec<String> {
    let lines = [
        format!("HTTP/1.1 {status}"),
        "Content-Type: application/json".to_owned(),
        "X-Content-Type-Options: nosniff".to_owned(),
        format!("X-Load-Balancing-Endpoint-Weight: {count}"),
        "Connection: close".to_owned(),
        format!("Content-Length: {length}"),
        "Date: now".to_owned(),
    ];
    lines.into()
}

#[test]
fn every_method_and_path_gets_the_same_bytes() {
    let (servers, at) = web("127.77.1.1", 0);
    for (count, status_line) in [(0, "503 Service Unavailable"), (3, "200 OK")] {
        servers.change(&[("web", ready(at.port(), count))]);
        let body = body(count, true);
        let head = head(status_line, count, body.len());
        wait_until(status_line, || ask_by(at, "GET", "/").unwrap().body == body);
        for (method, path) in [
            ("GET", "/"),
            ("GET", "/healthz?x=1"),
            ("POST", "/any/path"),
            ("PUT", "/"),
            ("DELETE", "/"),
            ("OPTIONS", "*"),
            ("PURGE", "/"),
        ] {
            let answer = ask_by(at, method, path).unwrap();
            assert_eq!(answer, Answer { head: head.clone(), body: body.clone() }, "{method} {path}");
        }
        // The same without its body (RFC 9110, 9.3.2).
        let answer = ask_by(at, "HEAD", "/").unwrap();
        assert_eq!(answer, Answer { head: head.clone(), body: String::new() });
    }
    assert_eq!(servers.news(), [""; 0]);
}

#[test]
fn requests_that_probes_and_people_send() {
    let (_servers, at) = web("127.77.1.2", 1);
    // HTTP/1.0 without a host, as by simple probes.
    let answer = exchange(at, "GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((answer.status(), answer.body), (200, body(1, true)));
    // A body that nobody wants.
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    assert_eq!(exchange(at, request).unwrap().status(), 200);
    // A client that closes its side before it hears the answer.
    let mut stream = connect(at).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // What is no HTTP.
    assert_eq!(exchange(at, "hello?\r\n\r\n").unwrap().status(), 400);
}

#[test]
fn a_connection_that_is_kept_hears_what_is_true_at_each_request() {
    let (servers, at) = web("127.77.1.3", 0);
    let mut stream = connect(at).unwrap();
    let mut ask = || {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") || !answer.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
            if answer.ends_with(b"\n\t}") {
                stream.read_exact(&mut byte).unwrap();
                answer.extend(byte);
            }
        }
        String::from_utf8(answer).unwrap()
    };
    assert!(ask().starts_with("HTTP/1.1 503 "));
    servers.change(&[("web", ready(at.port(), 2))]);
    wait_until("it is ready", || ask().starts_with("HTTP/1.1 200 "));
    servers.change(&[("web", ready(at.port(), 0))]);
    wait_until("it is ready no more", || ask().starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_proxy_that_does_not_reach_the_kernel_turns_everybody_away() {
    let (servers, at) = web("127.77.1.4", 2);
    assert_eq!(status(at), Some(200));
    // An update has waited for two minutes.
    let Some(long_ago) = Instant::now().checked_sub(LIMIT * 4) else { return };
    servers.health.queued(long_ago);
    let answer = ask_by(at, "GET", "/").unwrap();
    assert_eq!(answer.head, head("503 Service Unavailable", 2, body(2, false).len()));
    assert_eq!(answer.body, body(2, false), "the count is said all the same");
    servers.health.applied();
    assert_eq!(status(at), Some(200));
}

#[test]
fn who_only_holds_connections_open_keeps_nobody_from_asking() {
    let (_servers, at) = web("127.77.1.5", 1);
    let idle: Vec<_> = (0..140).map(|_| connect(at).unwrap()).collect();
    let answer = ask_by(at, "GET", "/").unwrap();
    assert_eq!(answer.header("X-Load-Balancing-Endpoint-Weight"), Some("1"));
    // The oldest of them had to go.
    let end = (&idle[0]).read(&mut [0]);
    assert!(matches!(&end, Ok(0)) || end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
}
