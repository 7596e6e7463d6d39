//! Addresses and CIDRs, parsed as leniently as kube-proxy does (its `ParseIPSloppy`).

use super::api::Text;
use ipnet::IpNet;
use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Bits of an IPv4-mapped address before the IPv4 address.
const MAPPED_BITS: u8 = 96;

/// An address, or `None` where kube-proxy sees none.
///
/// Leading zeros are ignored, so `010.001.0.1` is `10.1.0.1`: Go before 1.17 read them as decimal and
/// such objects are still stored in clusters (CVE-2021-29923 is about readers who disagree). An
/// IPv4-mapped IPv6 address is the IPv4 address, as everywhere in Go.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| parse_sloppy(text))?;
    match address {
        IpAddr::V6(v6) => Some(v6.to_ipv4_mapped().map_or(address, IpAddr::V4)),
        IpAddr::V4(_) => Some(address),
    }
}

/// [`parse`], without the unspecified address, which can be neither dialled nor served: a frontend
/// `0.0.0.0` would catch the connections a host makes to itself. The API server refuses it.
pub(super) fn parse_usable(text: &str) -> Result<IpAddr, &'static str> {
    match parse(text) {
        None => Err("is not an IP address"),
        Some(address) if address.is_unspecified() => Err("is the unspecified address"),
        Some(address) => Ok(address),
    }
}

/// A network `address/length`, read as leniently (kube-proxy's `ParseCIDRSloppy`): host bits are dropped.
/// `None` where kube-proxy sees none.
pub(super) fn parse_cidr(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    if length.is_empty() || !length.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let bits: u8 = length.parse().ok()?;
    let net = match (parse(address)?, address.contains(':')) {
        // An IPv4-mapped network whose prefix ends before the IPv4 address is one of IPv6.
        (IpAddr::V4(v4), true) if bits < MAPPED_BITS => IpNet::new(v4.to_ipv6_mapped().into(), bits),
        (IpAddr::V4(v4), true) => IpNet::new(v4.into(), bits - MAPPED_BITS),
        (other, _) => IpNet::new(other, bits),
    };
    net.ok().map(|net| net.trunc())
}

/// The networks of a list, white space around them ignored as the API server ignores it; `reject` is told
/// the index of an entry left out and why.
pub(super) fn parse_cidrs(texts: &[impl AsRef<str>], mut reject: impl FnMut(usize, String)) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let text = text.as_ref();
        match parse_cidr(text.trim()) {
            Some(net) => nets.push(net),
            None => reject(index, format!("{text:?} is not a CIDR, ignored")),
        }
    }
    nets
}

fn parse_sloppy(text: &str) -> Option<IpAddr> {
    let Some((groups, last)) = text.rsplit_once(':') else {
        return strip_quad(text)?.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    };
    let last = if last.contains('.') { Cow::Owned(strip_quad(last)?) } else { strip_zeros(last).into() };
    let mut stripped = String::with_capacity(text.len());
    for group in groups.split(':') {
        stripped.push_str(strip_zeros(group));
        stripped.push(':');
    }
    stripped.push_str(&last);
    stripped.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

/// A dotted quad without leading zeros; `None` where a part is not decimal.
fn strip_quad(text: &str) -> Option<String> {
    let parts = text.split('.').map(|part| {
        let decimal = !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        decimal.then(|| strip_zeros(part))
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("."))
}

/// `text` without leading zeros, but with the last zero of a text that has only zeros.
fn strip_zeros(text: &str) -> &str {
    let stripped = text.trim_start_matches('0');
    if stripped.is_empty() { &text[text.len().saturating_sub(1)..] } else { stripped }
}

/// [`parse_usable`], without the addresses that mean something else on every host or link: loopback,
/// link-local (a cloud's metadata service is one) and link-local multicast. The API server refuses them too,
/// for anybody who may write a Service could take them over.
pub(super) fn parse_frontend(text: &str) -> Result<IpAddr, &'static str> {
    let address = parse_usable(text)?;
    let (loopback, link_local, multicast) = match address {
        IpAddr::V4(v4) => (v4.is_loopback(), v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_loopback(), v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    match (loopback, link_local, multicast) {
        (true, ..) => Err("is a loopback address"),
        (_, true, _) => Err("is a link-local address"),
        (.., true) => Err("is a link-local multicast address"),
        _ => Ok(address),
    }
}

/// The frontend addresses of a list; `reject` is told the index of an entry left out and why.
pub(super) fn parse_list<'a>(
    texts: impl IntoIterator<Item = &'a Text<'a>>,
    mut reject: impl FnMut(usize, String),
) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        match parse_frontend(text) {
            Ok(address) => addresses.push(address),
            Err(why) => reject(index, format!("{:?} {why}, ignored", &**text)),
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_something_else_on_every_host_is_no_frontend() {
        for bad in [
            "127.0.0.1",
            "::1",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "0.0.0.0",
            "::",
            "::ffff:127.0.0.1",
        ] {
            assert!(parse_frontend(bad).is_err(), "{bad}");
        }
        for good in ["203.0.113.1", "10.0.0.1", "fd00::1", "2001:db8::1", "224.1.0.1"] {
            assert!(parse_frontend(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn addresses_are_read_as_kube_proxy_reads_them() {
        let table = [
            ("10.96.0.10", Some("10.96.0.10")),
            ("010.096.000.010", Some("10.96.0.10")),
            ("0000000010.0.0.1", Some("10.0.0.1")),
            ("0.0.0.0", Some("0.0.0.0")),
            ("00.00.00.00", Some("0.0.0.0")),
            ("0256.0.0.1", None),
            ("10.0.0", None),
            ("10.0.0.0x1", None),
            ("10.0.0.1.1", None),
            ("10.0..1", None),
            (" 10.0.0.1", None),
            ("+10.0.0.1", None),
            ("fd00:10:96::10", Some("fd00:10:96::10")),
            ("FD00:00010:96::", Some("fd00:10:96::")),
            ("::", Some("::")),
            ("00000::00001", Some("::1")),
            ("1::2::3", None),
            (":::", None),
            ("fe80::1%eth0", None),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("::ffff:010.0.0.01", Some("10.0.0.1")),
            ("64:ff9b::010.0.0.1", Some("64:ff9b::10.0.0.1")),
            ("None", None),
            ("", None),
            (":", None),
            (".", None),
            ("१०.0.0.1", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn cidrs_are_read_as_kube_proxy_reads_them() {
        let table = [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("010.0.0.0/08", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.1.2.3/32", Some("10.1.2.3/32")),
            ("fd00::1/8", Some("fd00::/8")),
            ("fd00::1/128", Some("fd00::1/128")),
            ("::/0", Some("::/0")),
            ("::ffff:10.1.0.0/104", Some("10.0.0.0/8")),
            ("::ffff:10.0.0.0/96", Some("0.0.0.0/0")),
            ("::ffff:10.0.0.0/90", Some("::ffc0:0:0/90")),
            ("::ffff:10.0.0.0/129", None),
            ("10.0.0.0/33", None),
            ("10.0.0.0/256", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/-8", None),
            ("10.0.0.0/ 8", None),
            ("10.0.0.0/", None),
            ("10.0.0.0", None),
            ("10.0.0.0/8/8", None),
            ("300.0.0.0/8", None),
            ("fd00::/129", None),
            ("/8", None),
            ("/", None),
            ("", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|net| net.parse::<IpNet>().unwrap());
            assert_eq!(parse_cidr(text), expected, "{text:?}");
        }
    }

    #[test]
    fn white_space_around_a_cidr_of_a_list_does_not_matter() {
        let mut rejected = Vec::new();
        let list = [" 10.1.2.3/8\n", "", "10.0.0.0", "fd00::/8"].map(str::to_owned);
        let nets = parse_cidrs(&list, |index, why| rejected.push((index, why)));
        assert_eq!(nets, ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap()));
        let rejected: Vec<_> = rejected.iter().map(|(index, why)| (*index, why.as_str())).collect();
        assert_eq!(
            rejected,
            [(1, "\"\" is not a CIDR, ignored"), (2, "\"10.0.0.0\" is not a CIDR, ignored")]
        );
    }
}
