//! What the lab's servers say: one line, `name client-ip:port`.

use super::LabError;
use std::{io, net::SocketAddr};

/// No answer is longer, in bytes.
pub(super) const LONGEST: usize = 512;

/// Who answered, and what each side saw of the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The server's own name.
    pub name: String,
    /// The client's address as the server saw it.
    pub seen_client: SocketAddr,
    /// The server's address as getpeername(2) told the client.
    pub peer_name: SocketAddr,
    /// The client's address as getsockname(2) told the client.
    pub local: SocketAddr,
}

impl Reply {
    /// The line that the server answered with.
    pub(super) fn line(&self) -> Vec<u8> {
        line(&self.name, self.seen_client)
    }
}

/// The line a server answers with.
pub(super) fn line(name: &str, client: SocketAddr) -> Vec<u8> {
    // A dual-stack socket sees IPv4 clients as ::ffff:a.b.c.d.
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    format!("{name} {client}\n").into_bytes()
}

/// Name and client's address of a server's line.
pub(super) fn parse(line: &[u8]) -> io::Result<(String, SocketAddr)> {
    let parsed = str::from_utf8(line).ok().and_then(|text| {
        let (name, client) = text.strip_suffix('\n')?.split_once(' ')?;
        Some((name.to_owned(), client.parse().ok()?))
    });
    parsed.ok_or_else(|| {
        let shown = String::from_utf8_lossy(line);
        io::Error::new(io::ErrorKind::InvalidData, format!("not an answer of a lab server: {shown:?}"))
    })
}

/// A name must be one short word to stand in a line.
pub(super) fn check_name(name: &str) -> Result<(), LabError> {
    if (1..=255).contains(&name.len()) && !name.contains(char::is_whitespace) {
        return Ok(());
    }
    let error = io::Error::new(io::ErrorKind::InvalidInput, "want one word of at most 255 bytes");
    Err(LabError::new("name", format_args!("server {name:?}"), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back() {
        for (client, want) in [
            ("10.244.0.2:40000", "10.244.0.2:40000"),
            ("[fd00:10:244::2]:40000", "[fd00:10:244::2]:40000"),
            ("[::ffff:10.244.0.2]:40000", "10.244.0.2:40000"),
        ] {
            let line = line("web-1", client.parse().unwrap());
            assert_eq!(line, format!("web-1 {want}\n").as_bytes());
            assert_eq!(parse(&line).unwrap(), ("web-1".to_owned(), want.parse().unwrap()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["", "\n", "web-1\n", "web-1 10.244.0.2\n", "web-1 10.244.0.2:1", "HTTP/1.1 400 Bad\n"] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{line:?}");
        }
        for name in ["", "two words", "line\n", &"x".repeat(256)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
