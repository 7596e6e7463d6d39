//! A client of bytes: what it sends is what is written here.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// The longest that anything here may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// An answer, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Status line and headers as they came, but for the date.
    pub head: Vec<String>,
    pub body: String,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head[0].split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Sends a request, and reads until the server closes.
pub fn exchange(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let mut stream = connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let undated =
        |line: &str| if line.starts_with("Date: ") { "Date: now".to_owned() } else { line.to_owned() };
    Ok(Answer { head: head.split("\r\n").map(undated).collect(), body: body.to_owned() })
}

pub fn ask_by(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    exchange(address, &format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"))
}

/// The status of `GET /`; `None` where nobody listens.
pub fn status(address: SocketAddr) -> Option<u16> {
    match ask_by(address, "GET", "/") {
        Ok(answer) => Some(answer.status()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => None,
        // A listener that is closed resets the connections that it has not accepted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(error) => panic!("{address}: {error}"),
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A port that is free on an address now.
pub fn free_port(address: IpAddr) -> u16 {
    TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port()
}
