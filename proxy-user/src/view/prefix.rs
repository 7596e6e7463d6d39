//! The key of a longest-prefix map as the range of addresses that it stands for.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proxy_common::abi::{Address, MAPPED_BITS};
use std::net::IpAddr;

/// The range of `bits` leading bits of an address, of an IPv4 address [`MAPPED_BITS`] among them; `None`
/// for more bits than an address has.
pub(crate) fn net(address: Address, bits: u32) -> Option<IpNet> {
    let bits = u8::try_from(bits).ok()?;
    match (address.to_ip(), bits.checked_sub(MAPPED_BITS as u8)) {
        (IpAddr::V4(v4), Some(bits)) => Some(Ipv4Net::new(v4, bits).ok()?.into()),
        (IpAddr::V4(v4), None) => Some(Ipv6Net::new(v4.to_ipv6_mapped(), bits).ok()?.into()),
        (IpAddr::V6(v6), _) => Some(Ipv6Net::new(v6, bits).ok()?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_written_in_its_own_family() {
        let text = |address: &str, bits| {
            net(address.parse::<IpAddr>().unwrap().into(), bits).map(|range| range.to_string())
        };
        assert_eq!(text("10.0.0.0", MAPPED_BITS + 8).as_deref(), Some("10.0.0.0/8"));
        assert_eq!(text("0.0.0.0", MAPPED_BITS).as_deref(), Some("0.0.0.0/0"));
        assert_eq!(text("fd00::", 8).as_deref(), Some("fd00::/8"));
        assert_eq!(text("10.0.0.0", MAPPED_BITS + 33), None);
    }
}
