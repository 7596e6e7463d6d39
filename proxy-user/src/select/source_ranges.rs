//! Who may use the load-balancer addresses of a service.

use crate::{
    model::{Family, Service},
    table::SourceRange,
};
use ipnet::IpNet;
use proxy_common::abi::SourceRule;
use std::net::IpAddr;

/// The source ranges of a service in one family, ascending, each prefix once; empty if every client may use
/// the addresses.
///
/// * Each family is restricted by its own ranges only: with ranges of the other family alone it is open.
/// * Where a range contains the node's primary address, the Service's own load-balancer addresses may too: one that
///   is bound to a local interface is the source when the node talks to it.
pub fn select_source_ranges(
    service: &Service,
    family: Family,
    primary: Option<IpAddr>,
    ranges: &mut Vec<SourceRange>,
) {
    ranges.clear();
    let of_family = || service.source_ranges.iter().filter(|range| Family::of(&range.addr()) == family);
    ranges.extend(of_family().map(|range| SourceRange::new(*range, SourceRule::Range)));
    if primary.is_some_and(|primary| of_family().any(|range| range.contains(&primary))) {
        let own = service.load_balancer_ips.iter().filter(|address| Family::of(address) == family);
        ranges.extend(own.map(|own| SourceRange::new(IpNet::from(*own), SourceRule::OwnAddress)));
    }
    ranges.sort_unstable();
    // The same prefix under two rules stands as a range.
    ranges.dedup_by_key(|range| (range.address, range.bits));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ObjectName;

    /// The ranges as text, sorted; those that are the Service's own addresses with an `=` before them.
    fn select(listed: &[&str], own: &[&str], family: Family, primary: Option<&str>) -> Vec<String> {
        let mut service = Service::cluster_ip(ObjectName::new("shop", "web"), vec![]);
        service.source_ranges = listed.iter().map(|text| text.parse().unwrap()).collect();
        service.load_balancer_ips = own.iter().map(|text| text.parse().unwrap()).collect();
        let mut ranges = vec![SourceRange::new("0.0.0.0/0".parse().unwrap(), SourceRule::Range)];
        let primary = primary.map(|text| text.parse().unwrap());
        select_source_ranges(&service, family, primary, &mut ranges);
        let text = |range: &SourceRange| {
            let mark = if range.rule == SourceRule::OwnAddress { "=" } else { "" };
            let address = range.address.to_ip();
            let bits = if address.is_ipv4() { range.bits - 96 } else { range.bits };
            format!("{mark}{address}/{bits}")
        };
        assert!(ranges.is_sorted());
        let mut texts: Vec<_> = ranges.iter().map(text).collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn the_ranges_of_a_family() {
        use Family::{V4, V6};
        let table: [(&str, &[&str], Family, &[&str]); 5] = [
            ("no list: everyone", &[], V4, &[]),
            ("only this family's", &["10.0.0.0/8", "fd00::/8"], V6, &["fd00::/8"]),
            ("none of this family: open to everyone of it", &["10.0.0.0/8"], V6, &[]),
            (
                "each once, without host bits",
                &["10.9.0.0/16", "10.0.0.0/8", "10.1.2.3/8", "10.0.0.0/16"],
                V4,
                &["10.0.0.0/16", "10.0.0.0/8", "10.9.0.0/16"],
            ),
            ("the whole family", &["0.0.0.0/0"], V4, &["0.0.0.0/0"]),
        ];
        for (rule, listed, family, expected) in table {
            assert_eq!(select(listed, &["203.0.113.1"], family, None), expected, "{rule}");
        }
    }

    #[test]
    fn own_addresses_are_sources_where_a_range_holds_the_node() {
        let own = ["203.0.113.2", "203.0.113.1", "203.0.113.1", "2001:db8::1"];
        let (v4, v6) = (Some("192.168.0.7"), Some("fd00::7"));
        type Row<'a> = (&'a str, &'a [&'a str], Family, Option<&'a str>, &'a [&'a str]);
        let table: [Row<'_>; 6] = [
            (
                "of this family, each once",
                &["192.168.0.0/24"],
                Family::V4,
                v4,
                &["192.168.0.0/24", "=203.0.113.1/32", "=203.0.113.2/32"],
            ),
            ("IPv6 alike", &["fd00::/64"], Family::V6, v6, &["=2001:db8::1/128", "fd00::/64"]),
            ("the node is in no range", &["192.168.1.0/24"], Family::V4, v4, &["192.168.1.0/24"]),
            ("the node has no address of the family", &["0.0.0.0/0"], Family::V4, None, &["0.0.0.0/0"]),
            ("a range of the other family says nothing", &["192.168.0.0/24"], Family::V6, v6, &[]),
            (
                "an own address that is also listed is listed",
                &["192.168.0.7/32", "203.0.113.1/32"],
                Family::V4,
                v4,
                &["192.168.0.7/32", "203.0.113.1/32", "=203.0.113.2/32"],
            ),
        ];
        for (rule, listed, family, primary, expected) in table {
            assert_eq!(select(listed, &own, family, primary), expected, "{rule}");
        }
    }
}
