//! XDP programs of devices, by rtnetlink: what sees a packet before anything else does.

use super::netlink::{Netlink, attributes};
use std::io;
use zerocopy::{FromBytes, IntoBytes};

/// linux/if_link.h.
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;
const IFLA_XDP: u16 = 43;

/// An XDP program on a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Xdp {
    /// Index of the device.
    pub device: u32,
    /// Id of the program.
    pub program_id: u32,
}

/// The XDP programs of the calling thread's network namespace.
///
/// # Errors
/// Of RTM_GETLINK.
pub fn xdp_programs() -> io::Result<Vec<Xdp>> {
    // `struct ifinfomsg`: all devices of all families.
    let request = [0_u8; 16];
    let links = Netlink::open(None)?.dump(libc::RTM_GETLINK, request.as_bytes(), |kind, payload| {
        (kind == libc::RTM_NEWLINK).then(|| programs(payload))
    })?;
    Ok(links.concat())
}

fn programs(payload: &[u8]) -> Vec<Xdp> {
    let Some((head, rest)) = payload.split_at_checked(16) else { return Vec::new() };
    let Ok((device, _)) = u32::read_from_prefix(head.get(4..).unwrap_or_default()) else { return Vec::new() };
    let nested =
        attributes(rest).filter(|(kind, _)| *kind == IFLA_XDP).flat_map(|(_, value)| attributes(value));
    let mut ids = Vec::new();
    for (kind, value) in nested {
        // Several modes at once have no IFLA_XDP_PROG_ID, one mode has both.
        if let IFLA_XDP_PROG_ID | IFLA_XDP_DRV_PROG_ID | IFLA_XDP_SKB_PROG_ID | IFLA_XDP_HW_PROG_ID = kind {
            ids.extend(u32::read_from_bytes(value).ok().filter(|id| *id != 0));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|program_id| Xdp { device, program_id }).collect()
}
