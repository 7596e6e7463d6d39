//! The network devices of a namespace, with what belongs to them, by rtnetlink (rtnetlink(7)).

use super::netlink::{Netlink, attributes, push_attribute};
use crate::model::Device;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct ifinfomsg`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Link {
    family: u8,
    pad: u8,
    link_type: u16,
    index: u32,
    flags: u32,
    change: u32,
}

/// `struct ifaddrmsg`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct OwnAddress {
    family: u8,
    prefix: u8,
    /// The lower eight bits of them.
    flags: u8,
    scope: u8,
    device: u32,
}

/// `struct rtmsg`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Route {
    family: u8,
    destination_bits: u8,
    source_bits: u8,
    tos: u8,
    table: u8,
    protocol: u8,
    scope: u8,
    kind: u8,
    flags: u32,
}

/// `struct rtnexthop`.
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct NextHop {
    length: u16,
    flags: u8,
    hops: u8,
    device: u32,
}

/// linux/if_link.h.
const IFLA_INFO_KIND: u16 = 1;

/// The devices of the network namespace that the calling thread is in, by index.
///
/// # Errors
/// Of RTM_GETLINK, RTM_GETADDR or RTM_GETROUTE.
pub fn devices() -> io::Result<Vec<Device>> {
    let mut netlink = Netlink::open(None)?;
    let mut devices = netlink.dump(libc::RTM_GETLINK, Link::default().as_bytes(), |kind, payload| {
        (kind == libc::RTM_NEWLINK).then(|| link(payload)).flatten()
    })?;
    devices.sort_by_key(|device| device.index);
    let mut addresses =
        netlink.dump(libc::RTM_GETADDR, OwnAddress::default().as_bytes(), |kind, payload| {
            (kind == libc::RTM_NEWADDR).then(|| address(payload)).flatten()
        })?;
    // A stable sort: among equals the kernel's order stays.
    addresses.sort_by_key(|(device, rank, _)| (*device, *rank));
    // By family: a dump of all families asks protocols too that nobody routes by here.
    let mut routed = BTreeSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let request = Route { family: family as u8, ..Route::default() };
        let found = netlink.dump(libc::RTM_GETROUTE, request.as_bytes(), |kind, payload| {
            (kind == libc::RTM_NEWROUTE).then(|| default_route(payload)).flatten()
        });
        match found {
            Ok(found) => routed.extend(found.into_iter().flatten()),
            // The kernel has no such family.
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
    }
    for device in &mut devices {
        let own = addresses.iter().filter(|(index, ..)| *index == device.index);
        device.addresses = own.map(|(.., address)| *address).collect();
        device.default_route = routed.contains(&device.index);
    }
    Ok(devices)
}

/// Whether the network namespace of the calling thread has a device of that name.
///
/// # Errors
/// Of RTM_GETLINK.
pub fn has_device(name: &str) -> io::Result<bool> {
    let mut request = Link::default().as_bytes().to_vec();
    push_attribute(&mut request, libc::IFLA_IFNAME, format!("{name}\0").as_bytes());
    match Netlink::open(None)?.change(libc::RTM_GETLINK, 0, &request) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The kind (`IFLA_INFO_KIND`) of the device of that name in the network namespace of the calling thread, empty where the
/// kernel knows none; `None` if there is no such device.
///
/// # Errors
/// Of RTM_GETLINK.
pub fn device_kind(name: &str) -> io::Result<Option<String>> {
    let mut request = Link::default().as_bytes().to_vec();
    push_attribute(&mut request, libc::IFLA_IFNAME, format!("{name}\0").as_bytes());
    match Netlink::open(None)?.get(libc::RTM_GETLINK, &request, link) {
        Ok(found) => Ok(found.map(|device| device.kind.to_string())),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a device from the network namespace of the calling thread.
///
/// # Errors
/// Of RTM_DELLINK; ENODEV: there is none.
pub fn remove_device(name: &str) -> io::Result<()> {
    let mut request = Link::default().as_bytes().to_vec();
    push_attribute(&mut request, libc::IFLA_IFNAME, format!("{name}\0").as_bytes());
    Netlink::open(None)?.change(libc::RTM_DELLINK, 0, &request)
}

fn link(payload: &[u8]) -> Option<Device> {
    let (Link { link_type, index, flags, .. }, rest) = Link::read_from_prefix(payload).ok()?;
    let mut device = Device { index, link_type, up: flags & libc::IFF_UP as u32 != 0, ..Device::default() };
    for (kind, value) in attributes(rest) {
        match kind {
            libc::IFLA_IFNAME => device.name = text(value),
            libc::IFLA_MTU => device.mtu = u32::read_from_bytes(value).unwrap_or_default(),
            libc::IFLA_ADDRESS => device.mac = value.try_into().unwrap_or_default(),
            libc::IFLA_LINKINFO => {
                let kind = attributes(value).find(|(kind, _)| *kind == IFLA_INFO_KIND);
                device.kind = kind.map(|(_, value)| text(value)).unwrap_or_default();
            }
            _ => {}
        }
    }
    Some(device)
}

/// Device, rank (the lower the better as a source) and address of a message; `None` of one that is not of global
/// scope, or that duplicate address detection (RFC 4862, 5.4) has not let through yet, or never will.
fn address(payload: &[u8]) -> Option<(u32, u8, IpAddr)> {
    let (OwnAddress { flags, scope, device, .. }, rest) = OwnAddress::read_from_prefix(payload).ok()?;
    let flags = u32::from(flags);
    if scope != libc::RT_SCOPE_UNIVERSE || flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) != 0 {
        return None;
    }
    let find =
        |wanted| attributes(rest).find_map(|(kind, value)| (kind == wanted).then(|| ip(value)).flatten());
    // Of a point-to-point device, IFA_ADDRESS is the peer's.
    let address = find(libc::IFA_LOCAL).or_else(|| find(libc::IFA_ADDRESS))?;
    // IFA_F_SECONDARY, which is IFA_F_TEMPORARY of IPv6.
    let rank =
        u8::from(flags & libc::IFA_F_DEPRECATED != 0) * 2 + u8::from(flags & libc::IFA_F_SECONDARY != 0);
    Some((device, rank, address))
}

/// The devices that a default route goes out of; `None` of another route.
fn default_route(payload: &[u8]) -> Option<Vec<u32>> {
    let (route, rest) = Route::read_from_prefix(payload).ok()?;
    if route.destination_bits != 0 || route.kind != libc::RTN_UNICAST {
        return None;
    }
    let mut devices = Vec::new();
    for (kind, value) in attributes(rest) {
        match kind {
            libc::RTA_OIF => devices.extend(u32::read_from_bytes(value)),
            libc::RTA_MULTIPATH => devices.extend(next_hops(value)),
            _ => {}
        }
    }
    Some(devices)
}

fn next_hops(mut rest: &[u8]) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let (NextHop { length, device, .. }, _) = NextHop::read_from_prefix(rest).ok()?;
        let length = usize::from(length).max(size_of::<NextHop>()).next_multiple_of(4);
        rest = rest.get(length..).unwrap_or_default();
        Some(device)
    })
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    match *value {
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        _ => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
    }
}
