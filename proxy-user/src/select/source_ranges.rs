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
