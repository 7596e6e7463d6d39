//! The network devices of this node, with their addresses and default routes, followed live over netlink: what
//! the packet programs are attached to.

use super::netlink::{Followed, Follower, NetlinkError};
use crate::{kernel::sys, model::Device};

/// Follows the devices of the network namespace that it was started in, on a thread of its own.
#[derive(Debug)]
pub struct DeviceFollower(Follower<Devices>);

impl DeviceFollower {
    /// Begins to follow them; the list is that of now, by index.
    ///
    /// # Errors
    /// Of the first call that failed.
    pub fn start() -> Result<(Self, Vec<Device>), NetlinkError> {
        let (follower, list) = Follower::start()?;
        Ok((Self(follower), list))
    }

    /// The next list that differs from the last; waits for ever once the thread has ended. No list is lost
    /// if it is dropped before it has ended.
    pub async fn next(&mut self) -> Vec<Device> {
        self.0.next().await
    }
}

/// What is followed.
#[derive(Debug)]
struct Devices;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

impl Followed for Devices {
    type List = Vec<Device>;
    const WHAT: &str = "the devices of this node";
    const THREAD: &str = "devices";
    /// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR and RTMGRP_IPV6_ROUTE.
    const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

    /// A device that has come, or has been given its first address or default route, waits for programs: until it has them,
    /// a packet of a connection that there was before is answered with a reset. Nobody may have lost
    /// anything: a device that is set up anew has it back in a moment. One that is gone has nothing to lose.
    fn is_urgent(last: &Vec<Device>, now: &Vec<Device>) -> bool {
        let is_kept = |old: &Device| {
            let stays = |new: &&Device| new.index == old.index;
            let keeps = |new: &Device| {
                (new.default_route || !old.default_route)
                    && old.addresses.iter().all(|address| new.addresses.contains(address))
            };
            now.iter().find(stays).is_none_or(keeps)
        };
        let begins = |new: &Device| {
            let leads = |device: &Device| device.default_route || !device.addresses.is_empty();
            leads(new) && !last.iter().any(|old| old.index == new.index && leads(old))
        };
        last.iter().all(is_kept) && now.iter().any(begins)
    }

    /// Of routes only the default ones: a node may have many others, which come and go with its pods and peers.
    fn concerns(notification: &[u8]) -> bool {
        let kind = notification.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
        let destination_bits = notification.get(HEADER + 1).copied();
        !matches!(kind, Some(libc::RTM_NEWROUTE | libc::RTM_DELROUTE)) || destination_bits == Some(0)
    }

    fn new() -> Result<Self, NetlinkError> {
        Ok(Self)
    }

    fn list(&mut self) -> Result<Vec<Device>, NetlinkError> {
        sys::devices().map_err(|source| NetlinkError { what: Self::WHAT, call: "RTM_GETLINK", source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_routes_only_the_default_ones_matter() {
        let notification = |kind: u16, destination_bits| {
            let mut bytes = [0; HEADER + 12];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes[HEADER + 1] = destination_bits;
            bytes
        };
        for kind in [libc::RTM_NEWROUTE, libc::RTM_DELROUTE] {
            assert!(Devices::concerns(&notification(kind, 0)));
            assert!(!Devices::concerns(&notification(kind, 24)));
        }
        for kind in [libc::RTM_NEWLINK, libc::RTM_DELLINK, libc::RTM_NEWADDR, libc::RTM_DELADDR] {
            assert!(Devices::concerns(&notification(kind, 24)));
        }
    }
    #[test]
    fn a_device_that_begins_is_urgent_unless_another_has_lost_something() {
        let device = |index, addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            Device { index, addresses, ..Device::default() }
        };
        let urgent = |last: &[Device], now: &[Device]| Devices::is_urgent(&last.to_vec(), &now.to_vec());
        let (one, two) = ("192.0.2.1", "192.0.2.2");
        let last = [device(1, &[one]), device(2, &[])];
        assert!(urgent(&last, &[device(1, &[one]), device(2, &[two])]));
        assert!(urgent(&last, &[device(1, &[one]), device(2, &[]), device(3, &[two])]));
        assert!(urgent(&last, &[device(2, &[]), device(4, &[one])]), "made again");
        assert!(!urgent(&last, &[device(1, &[one]), device(2, &[]), device(3, &[])]), "a pod's");
        assert!(!urgent(&last, &[device(1, &[one, two]), device(2, &[])]));
        assert!(!urgent(&last, &[device(1, &[]), device(2, &[two])]), "may be back in a moment");
        let led = Device { default_route: true, ..device(2, &[]) };
        assert!(urgent(&last, &[device(1, &[one]), led.clone()]));
        assert!(!urgent(&[led], &[device(2, &[]), device(3, &[one])]));
    }
}
