//! What the agent answers over HTTP, asked on its node.

use shunt::lab::Place;
use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// Where a node's probes and metrics are.
pub const PROBES: u16 = 10_256;
pub const METRICS: u16 = 10_249;

const PATIENCE: Duration = Duration::from_secs(10);

/// The status and the body; `None` where nobody listens.
pub fn get(place: &Place, port: u16, path: &str) -> Option<(u16, String)> {
    match place.run(|| ask(port, path)).unwrap() {
        Ok(answer) => Some(answer),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => None,
        Err(error) => panic!("port {port}, {path}: {error}"),
    }
}

/// The status alone, 0 where nobody listens.
pub fn status(place: &Place, port: u16, path: &str) -> u16 {
    get(place, port, path).map_or(0, |(status, _)| status)
}

fn ask(port: u16, path: &str) -> io::Result<(u16, String)> {
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// The samples of `/metrics` by name and labels.
pub fn samples(place: &Place) -> BTreeMap<String, f64> {
    let (status, body) = get(place, METRICS, "/metrics").unwrap();
    assert_eq!(status, 200, "{body}");
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}
