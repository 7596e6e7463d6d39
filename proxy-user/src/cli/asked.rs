//! The question of `shunt explain` as it is written on the command line.

use crate::{explain::Origin, model::Protocol};
use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// `10.96.0.10:80`, `[fd00::10]:53/udp`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destination {
    pub address: SocketAddr,
    pub protocol: Protocol,
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let address = address.parse().map_err(|_| match address.parse::<IpAddr>() {
            Ok(ip) => format!("the port is missing: {}", SocketAddr::new(ip, 80)),
            Err(_) => "write 10.96.0.10:80 or [fd00::10]:80; a name is not looked up".to_owned(),
        })?;
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(format!("{protocol:?} is none of tcp, udp and sctp")),
        };
        Ok(Self { address, protocol })
    }
}

/// `pod`, `node:10.0.0.1`, `external:203.0.113.9`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    pub origin: Origin,
    pub address: Option<IpAddr>,
}

impl FromStr for Asker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (origin, address) = text.split_once(':').map_or((text, None), |(o, a)| (o, Some(a)));
        let origin = match origin {
            "pod" => Origin::Pod,
            "node" => Origin::Node,
            "external" => Origin::Outside,
            _ => return Err(format!("{origin:?} is none of pod, node and external")),
        };
        // In brackets too, as an IPv6 address with a port is written.
        let bare = |text: &str| {
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            inner.unwrap_or(text).parse().map_err(|_| format!("{text:?} is no IP address"))
        };
        Ok(Self { origin, address: address.map(bare).transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_has_a_port_and_may_have_a_protocol() {
        let parse = |text: &str| text.parse::<Destination>();
        let parts = |text| parse(text).map(|d| (d.address.to_string(), d.protocol)).unwrap();
        assert_eq!(parts("10.96.0.10:80"), ("10.96.0.10:80".to_owned(), Protocol::Tcp));
        assert_eq!(parts("[fd00::1]:53/UDP"), ("[fd00::1]:53".to_owned(), Protocol::Udp));
        assert_eq!(parts("10.96.0.10:9/Sctp").1, Protocol::Sctp);
        for (text, hint) in [
            ("10.96.0.10", "10.96.0.10:80"),
            ("fd00::1", "[fd00::1]:80"),
            ("10.96.0.10:80/icmp", "tcp, udp and sctp"),
            ("web.default:80", "a name is not looked up"),
            ("default/web", "a name is not looked up"),
            ("10.96.0.10:65536", "10.96.0.10:80"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn who_asks_may_have_an_address() {
        let parse = |text: &str| text.parse::<Asker>().map(|asker| (asker.origin, asker.address));
        assert_eq!(parse("pod"), Ok((Origin::Pod, None)));
        assert_eq!(parse("node:10.0.0.1"), Ok((Origin::Node, Some("10.0.0.1".parse().unwrap()))));
        for text in ["external:fd00::9", "external:[fd00::9]"] {
            assert_eq!(parse(text), Ok((Origin::Outside, Some("fd00::9".parse().unwrap()))), "{text}");
        }
        for text in ["", "world", "pod:", "pod:10.0.0", "Pod"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
