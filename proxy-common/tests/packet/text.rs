//! Packets as text, such as `192.0.2.9:4000 > 192.0.2.1:30080 tcp S data=5 ttl=63`, and back.
//!
//! An ICMP error ends with the packet that it carries: `192.0.2.254 > 192.0.2.1 icmp too-big number=1400 [..]`.

use std::{
    fmt::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// Names of ICMP messages: type and code of both families.
pub const MESSAGES: [(&str, [u8; 2], [u8; 2]); 8] = [
    ("port-unreachable", [3, 3], [1, 4]),
    ("host-unreachable", [3, 1], [1, 3]),
    ("too-big", [3, 4], [2, 0]),
    ("time-exceeded", [11, 0], [3, 0]),
    ("parameter-problem", [12, 0], [4, 0]),
    ("redirect", [5, 1], [137, 0]),
    ("echo", [8, 0], [128, 0]),
    ("echo-reply", [0, 0], [129, 0]),
];

/// Names of SCTP chunks.
pub const CHUNKS: [(&str, u8); 8] = [
    ("data", 0),
    ("init", 1),
    ("init-ack", 2),
    ("abort", 6),
    ("shutdown", 7),
    ("shutdown-ack", 8),
    ("cookie-echo", 10),
    ("shutdown-complete", 14),
];

/// One end of a packet. A later fragment shows no port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End {
    pub ip: IpAddr,
    pub port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    pub source: End,
    pub destination: End,
    /// `tcp`, `udp`, `sctp`, `icmp`, or a number.
    pub protocol: String,
    /// TCP flags (`S`, `A`, `F`, `R`, `P`), the type of an SCTP chunk, the name of an ICMP message.
    pub what: String,
    /// Sequence and acknowledgement number.
    pub seq: u32,
    pub ack: u32,
    /// The last four bytes of an ICMP header.
    pub number: u32,
    /// Bytes of payload.
    pub data: usize,
    pub ttl: u8,
    /// Bytes of the datagram that this fragment has; and its identification.
    pub fragment: Option<(usize, usize)>,
    pub id: u32,
    /// `nosum`: UDP without a checksum. `options`: IPv4 options, IPv6 hop-by-hop options. And of IPv6: `destination`,
    /// `routing`, `left` (a routing header that is not used up), `atomic` (a fragment header for a whole packet),
    /// `auth`.
    pub extras: Vec<String>,
    /// The packet that an ICMP error carries, and how many bytes of it.
    pub inner: Option<Box<Datagram>>,
    pub cut: Option<usize>,
}

impl Datagram {
    pub fn is_v6(&self) -> bool {
        self.source.ip.is_ipv6()
    }
    pub fn has(&self, extra: &str) -> bool {
        self.extras.iter().any(|other| other == extra)
    }
    /// The empty packet between two ends.
    pub fn between(source: End, destination: End, protocol: &str) -> Self {
        Self {
            source,
            destination,
            protocol: protocol.to_owned(),
            what: String::new(),
            seq: 0,
            ack: 0,
            number: 0,
            data: 0,
            ttl: 64,
            fragment: None,
            id: 0,
            extras: Vec::new(),
            inner: None,
            cut: None,
        }
    }
}

impl FromStr for End {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { ip: address.ip(), port: Some(address.port()) });
        }
        let ip = text.parse().map_err(|_| format!("{text} is no address"))?;
        Ok(Self { ip, port: None })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl FromStr for Datagram {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (outer, inner) = match text.strip_suffix(']').and_then(|text| text.split_once(" icmp ")) {
            Some((ends, rest)) => {
                let (words, inner) = rest.split_once('[').ok_or(format!("{text}: unbalanced"))?;
                (format!("{ends} icmp {words}"), Some(inner.parse::<Self>()?))
            }
            None => (text.to_owned(), None),
        };
        let mut words = outer.split_whitespace();
        let mut next = || words.next().ok_or(format!("{outer}: too short"));
        let source = next()?.parse()?;
        assert_eq!(next()?, ">", "{outer}");
        let destination = next()?.parse()?;
        let mut packet = Self::between(source, destination, next()?);
        packet.inner = inner.map(Box::new);
        for word in words {
            packet.word(word)?;
        }
        Ok(packet)
    }
}

impl Datagram {
    fn word(&mut self, word: &str) -> Result<(), String> {
        let Some((name, value)) = word.split_once('=') else {
            let extra =
                ["nosum", "options", "destination", "routing", "left", "atomic", "auth"].contains(&word);
            if extra {
                self.extras.push(word.to_owned());
            } else {
                self.what = word.to_owned();
            }
            return Ok(());
        };
        if name == "frag" {
            let (from, to) = value.split_once('-').unwrap();
            self.fragment = Some((from.parse().unwrap(), to.parse().unwrap()));
            return Ok(());
        }
        let value: u32 = value.parse().map_err(|_| format!("{word}: no number"))?;
        match name {
            "seq" => self.seq = value,
            "ack" => self.ack = value,
            "number" => self.number = value,
            "data" => self.data = value as usize,
            "ttl" => self.ttl = value as u8,
            "id" => self.id = value,
            "cut" => self.cut = Some(value as usize),
            _ => return Err(format!("{word} means nothing")),
        }
        Ok(())
    }
}

impl fmt::Display for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {} {}", self.source, self.destination, self.protocol)?;
        if !self.what.is_empty() {
            write!(f, " {}", self.what)?;
        }
        let mut number = |name: &str, value: u32, usual: u32| {
            if value == usual { Ok(()) } else { write!(f, " {name}={value}") }
        };
        number("seq", self.seq, 0)?;
        number("ack", self.ack, 0)?;
        number("number", self.number, 0)?;
        number("data", self.data as u32, 0)?;
        number("ttl", self.ttl.into(), 64)?;
        number("id", self.id, 0)?;
        if let Some((from, to)) = self.fragment {
            write!(f, " frag={from}-{to}")?;
        }
        for extra in &self.extras {
            write!(f, " {extra}")?;
        }
        match &self.inner {
            Some(inner) => write!(f, " [{inner}]"),
            None => Ok(()),
        }
    }
}

/// The same text for the other family: `192.0.2.1` becomes `fd00::192:0:2:1`.
pub fn six(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive(&[' ', '[', ']', ',']) {
        let end = word.trim_end_matches([' ', '[', ']', ',', ':']);
        let (word, rest) = word.split_at(end.len());
        let (ip, port) = word.rsplit_once(':').map_or((word, None), |(ip, port)| (ip, Some(port)));
        match (ip.parse::<Ipv4Addr>(), port) {
            (Ok(ip), Some(port)) => write!(out, "[{}]:{port}{rest}", six_address(ip)).unwrap(),
            (Ok(ip), None) => write!(out, "{}{rest}", six_address(ip)).unwrap(),
            (Err(_), _) => write!(out, "{word}{rest}").unwrap(),
        }
    }
    out
}

fn six_address(ip: Ipv4Addr) -> Ipv6Addr {
    let [a, b, c, d] = ip.octets();
    format!("fd00::{a}:{b}:{c}:{d}").parse().unwrap()
}

#[test]
fn packets_survive_the_round_trip_through_text_in_both_families() {
    for text in [
        "192.0.2.9:4000 > 192.0.2.1:30080 tcp SA seq=7 ack=8 data=5 ttl=63",
        "192.0.2.9:4000 > 192.0.2.1:30080 udp data=4 id=9 frag=0-8 nosum options",
        "192.0.2.254 > 192.0.2.1 icmp too-big number=1400 [192.0.2.1:4 > 10.244.2.5:8080 tcp]",
        "192.0.2.9 > 10.96.0.10 47 data=8",
    ] {
        assert_eq!(text.parse::<Datagram>().unwrap().to_string(), text);
        let text = six(text);
        assert!(!text.contains('.'), "{text}");
        assert_eq!(text.parse::<Datagram>().unwrap().to_string(), text);
    }
    assert_eq!(
        six("eth0 via 192.0.2.2: 192.0.2.1:5 > 10.0.0.1:80 tcp"),
        "eth0 via fd00::192:0:2:2: [fd00::192:0:2:1]:5 > [fd00::10:0:0:1]:80 tcp"
    );
}
