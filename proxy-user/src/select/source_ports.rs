//! Source ports for what the node sends in a client's place.

use std::ops::RangeInclusive;

/// The least that are worth having: towards one port of one endpoint no more flows than ports are possible.
pub const FEWEST_PORTS: usize = 1024;

/// NodePorts, unless the API server was told otherwise (`--service-node-port-range`).
const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;

/// The largest range of unprivileged ports that neither sockets get by themselves (`local`, which is
/// net.ipv4.ip_local_port_range) nor NodePorts are in; `None` if that has fewer than [`FEWEST_PORTS`].
#[must_use]
pub fn source_ports(local: &RangeInclusive<u16>) -> Option<RangeInclusive<u16>> {
    let mut taken = [local.clone(), NODE_PORTS];
    taken.sort_by_key(|range| *range.start());
    let mut free = Vec::new();
    let mut next = 1024_u32;
    for range in taken {
        free.push(next..u32::from(*range.start()));
        next = next.max(u32::from(*range.end()) + 1);
    }
    free.push(next..1 << 16);
    let largest =
        free.into_iter().filter(|range| range.len() >= FEWEST_PORTS).max_by_key(ExactSizeIterator::len)?;
    Some(largest.start as u16..=(largest.end - 1) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_range_that_nobody_else_uses() {
        for (local, wanted) in [
            // The kernel's default.
            (32_768..=60_999, Some(1_024..=29_999)),
            (1_024..=65_535, None),
            (1_024..=29_999, Some(32_768..=65_535)),
            (10_000..=65_535, Some(1_024..=9_999)),
            (2_000..=64_000, Some(64_001..=65_535)),
            (2_047..=65_535, None),
            (2_048..=65_535, Some(1_024..=2_047)),
            (31_000..=31_001, Some(32_768..=65_535)),
            (1..=1_023, Some(32_768..=65_535)),
        ] {
            assert_eq!(source_ports(&local), wanted, "{local:?}");
        }
    }

    #[test]
    fn no_port_of_the_range_is_anybodys() {
        for start in (1_u16..=65_000).step_by(997) {
            for length in [0_u16, 1, 500, 5_000, 30_000, 60_000] {
                let local = start..=start.saturating_add(length);
                let Some(found) = source_ports(&local) else { continue };
                assert!(found.len() >= FEWEST_PORTS && *found.start() >= 1_024, "{local:?}");
                assert!(
                    found.clone().all(|port| !local.contains(&port) && !NODE_PORTS.contains(&port)),
                    "{local:?}"
                );
            }
        }
    }
}
