//! Where and when load balancers find somebody who answers.

use super::{
    Servers,
    http::{ask_by, connect, free_port, status, wait_until},
    ready,
};
use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener},
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}

/// The name that an answer gives.
fn who(address: SocketAddr) -> Option<String> {
    let body = ask_by(address, "GET", "/").ok()?.body;
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    Some(json["service"]["name"].as_str().unwrap().to_owned())
}

fn wait_for_who(address: SocketAddr, wanted: Option<&str>) {
    wait_until(&format!("{wanted:?} answers on {address}"), || who(address).as_deref() == wanted);
}

#[test]
fn a_listener_goes_with_its_service_and_moves_with_its_port() {
    let servers = Servers::start(&["127.77.2.1"]);
    let [first, second] = [(); 2].map(|()| at("127.77.2.1", free_port(ip("127.77.2.1"))));
    servers.change(&[("web", ready(first.port(), 1))]);
    wait_for_who(first, Some("web"));
    servers.change(&[("web", ready(second.port(), 1))]);
    wait_for_who(second, Some("web"));
    assert_eq!(status(first), None, "the old port is free before the new one is taken");
    // A connection that is kept ends with the Service.
    let mut kept = connect(second).unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    kept.read_exact(&mut [0]).unwrap();
    servers.change(&[("web", None)]);
    wait_until("nobody listens", || status(second).is_none());
    let mut rest = Vec::new();
    // Ended or reset; it does not hang.
    let _ = kept.read_to_end(&mut rest);
    TcpListener::bind(second).unwrap();
    assert_eq!(servers.news(), [""; 0]);
}

#[test]
fn services_may_swap_their_ports_in_one_change() {
    let servers = Servers::start(&["127.77.2.2"]);
    let [a, b] = [(); 2].map(|()| at("127.77.2.2", free_port(ip("127.77.2.2"))));
    servers.change(&[("a", ready(a.port(), 1)), ("b", ready(b.port(), 1))]);
    wait_for_who(b, Some("b"));
    servers.change(&[("a", ready(b.port(), 1)), ("b", ready(a.port(), 1))]);
    wait_for_who(b, Some("a"));
    wait_for_who(a, Some("b"));
    assert_eq!(servers.news(), [""; 0]);
}

#[test]
fn a_port_that_a_process_has_is_reported_once_and_taken_when_it_is_free() {
    let servers = Servers::start(&["127.77.2.3"]);
    let process = TcpListener::bind("127.77.2.3:0").unwrap();
    let address = process.local_addr().unwrap();
    let other = at("127.77.2.3", free_port(ip("127.77.2.3")));
    servers.change(&[("other", ready(other.port(), 1)), ("web", ready(address.port(), 1))]);
    let port = address.port();
    let failed = format!(
        "health checks of default/web on port {port} are not answered: listen on 127.77.2.3: Address already in \
         use (os error 98)"
    );
    assert_eq!(servers.wait_for_news(1), [failed.as_str()]);
    wait_for_who(other, Some("other"));
    // Its answer changes meanwhile, and many tries fail: nothing of it is news.
    servers.change(&[("web", ready(port, 2))]);
    servers.change(&[("other", ready(other.port(), 0))]);
    wait_until("the change was taken", || status(other) == Some(503));
    assert_eq!(servers.news(), [failed.as_str()]);
    drop(process);
    assert_eq!(servers.wait_for_news(2), [failed, format!("default/web on {port} is mended")]);
    let answer = ask_by(address, "GET", "/").unwrap();
    assert_eq!(answer.header("X-Load-Balancing-Endpoint-Weight"), Some("2"), "the last that was told");
}

#[test]
fn of_two_services_with_one_port_the_second_waits_until_the_first_goes() {
    let servers = Servers::start(&["127.77.2.4"]);
    let address = at("127.77.2.4", free_port(ip("127.77.2.4")));
    let port = address.port();
    servers.change(&[("second", ready(port, 1))]);
    wait_for_who(address, Some("second"));
    servers.change(&[("first", ready(port, 1))]);
    let failed = format!(
        "health checks of default/first on port {port} are not answered: default/second has the same \
         healthCheckNodePort"
    );
    assert_eq!(servers.wait_for_news(1), [failed.as_str()]);
    // A new address is not shared out between them.
    servers.listen_on(&["127.77.2.4", "127.77.2.5"]);
    wait_for_who(at("127.77.2.5", port), Some("second"));
    assert_eq!(who(address).as_deref(), Some("second"));
    servers.change(&[("second", None)]);
    for address in [address, at("127.77.2.5", port)] {
        wait_for_who(address, Some("first"));
    }
    assert_eq!(servers.wait_for_news(2), [failed, format!("default/first on {port} is mended")]);
}

#[test]
fn listeners_follow_the_addresses_where_node_ports_answer() {
    let servers = Servers::start(&["127.77.2.6", "127.77.2.7"]);
    let port = free_port(ip("127.77.2.6"));
    let [a, b, c] = ["127.77.2.6", "127.77.2.7", "127.77.2.8"].map(|address| at(address, port));
    servers.change(&[("web", ready(port, 1))]);
    for address in [a, b] {
        wait_for_who(address, Some("web"));
    }
    assert_eq!(status(c), None, "an address that was not chosen");
    // One that stays is not touched: its connections go on.
    let mut kept = connect(b).unwrap();
    servers.listen_on(&["127.77.2.7", "127.77.2.8"]);
    wait_for_who(c, Some("web"));
    assert_eq!(status(a), None);
    kept.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");

    servers.listen_on(&[]);
    let told = servers.wait_for_news(1);
    assert!(
        told[0].ends_with("are not answered: this node has no address where NodePorts answer"),
        "{told:?}"
    );
    assert_eq!(status(b), None);
    // An address that nobody has, such as one that is on its way: the others are listened on all the same.
    servers.listen_on(&["127.77.2.7", "192.0.2.1"]);
    wait_for_who(b, Some("web"));
    let told = servers.wait_for_news(2);
    assert!(
        told[1].ends_with("listen on 192.0.2.1: Cannot assign requested address (os error 99)"),
        "{told:?}"
    );
}

#[test]
fn each_family_answers_with_its_own_count_and_only_if_it_serves_the_service() {
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: this machine has no IPv6");
        return;
    }
    let servers = Servers::start(&["127.0.0.1", "::1"]);
    let port = loop {
        let port = free_port(ip("127.0.0.1"));
        if TcpListener::bind(("::1", port)).is_ok() {
            break port;
        }
    };
    let (v4, v6) = (at("127.0.0.1", port), at("::1", port));
    servers.change(&[("web", Some((port, [Some(2), Some(0)])))]);
    wait_until("both answer", || (status(v4), status(v6)) == (Some(200), Some(503)));
    servers.change(&[("web", Some((port, [None, Some(1)])))]);
    wait_until("one answers", || (status(v4), status(v6)) == (None, Some(200)));
    servers.change(&[("web", Some((port, [Some(0), Some(1)])))]);
    wait_until("both answer again", || (status(v4), status(v6)) == (Some(503), Some(200)));
}

#[test]
fn many_services_each_with_its_own_answer() {
    const SERVICES: u16 = 60;
    let servers = Servers::start(&["127.77.2.10"]);
    let reserved: Vec<_> = (0..SERVICES).map(|_| TcpListener::bind("127.77.2.10:0").unwrap()).collect();
    let addresses: Vec<_> = reserved.iter().map(|listener| listener.local_addr().unwrap()).collect();
    drop(reserved);
    let names: Vec<_> = (0..SERVICES).map(|number| format!("svc-{number}")).collect();
    let change = |count: fn(usize) -> u32| {
        let one = |(number, name): (usize, &'_ String)| {
            (name.clone(), ready(addresses[number].port(), count(number)))
        };
        let all: Vec<_> = names.iter().enumerate().map(one).collect();
        let all: Vec<_> = all.iter().map(|(name, check)| (name.as_str(), *check)).collect();
        servers.change(&all);
    };
    change(|number| (number % 2) as u32);
    for (number, address) in addresses.iter().enumerate() {
        wait_for_who(*address, Some(&names[number]));
        assert_eq!(status(*address), Some(if number % 2 == 1 { 200 } else { 503 }));
    }
    servers.change(&[(names[7].as_str(), None)]);
    wait_for_who(addresses[7], None);
    assert_eq!(status(addresses[9]), Some(200));
    // Ports are free once the servers are gone.
    drop(servers);
    for address in &addresses {
        TcpListener::bind(address).unwrap();
    }
}
