//! Waiting for what the kernel finishes later, on a work queue, after the netlink request has returned.
//! Without it the first packet is lost now and then, and its sender tries again a second later.

use super::{LabError, Namespace, netlink};
use netlink_packet_route::link::LinkFlags;
use std::{
    fs, io,
    net::Ipv6Addr,
    thread,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// Waits until a device that is up sends packets. The end of a veth pair that was up first gets its
/// carrier, and its queue in place of one that drops everything, from net/core/link_watch.c.
pub(super) fn is_running(namespace: &Namespace, device: &str) -> Result<(), LabError> {
    wait_until(namespace, device, "wait for the carrier", || {
        Ok(netlink::flags(namespace, device)?.contains(LinkFlags::Running))
    })
}

/// Waits until a device answers neighbour solicitations for its address: it joins the multicast group
/// that they are sent to in addrconf_dad_work(), even if duplicate address detection is off. `lo` and
/// devices without neighbours join none.
pub(super) fn answers_to(namespace: &Namespace, device: &str, address: Ipv6Addr) -> Result<(), LabError> {
    if netlink::flags(namespace, device)?.intersects(LinkFlags::Loopback | LinkFlags::Noarp) {
        return Ok(());
    }
    let group = solicited_node_group(address);
    wait_until(namespace, device, "wait for the multicast group", || {
        let read = namespace.run(|| fs::read_to_string("/proc/thread-self/net/igmp6"))?;
        let text = read.map_err(|error| LabError::new("read", "/proc/net/igmp6", error))?;
        Ok(is_member(&text, device, group))
    })
}

/// RFC 4291, 2.7.1: ff02::1:ffXX:XXXX with the last 24 bits of the address.
fn solicited_node_group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// A line of igmp6 is `index device group-as-32-digits users flags timer`.
fn is_member(igmp6: &str, device: &str, group: Ipv6Addr) -> bool {
    let group = format!("{:032x}", group.to_bits());
    igmp6.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        fields.next() == Some(device) && fields.next() == Some(&group)
    })
}

fn wait_until(
    namespace: &Namespace,
    device: &str,
    what: &'static str,
    mut done: impl FnMut() -> Result<bool, LabError>,
) -> Result<(), LabError> {
    let end = Instant::now() + LIMIT;
    while !done()? {
        if Instant::now() >= end {
            return Err(LabError::new(what, format_args!("{namespace} {device}"), io::ErrorKind::TimedOut));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn membership_is_read_per_device() {
        let text = "\
1    lo              ff020000000000000000000000000001     1 0000000C 0
2    eth0            ff0200000000000000000001ff000002     1 00000004 0";
        let group = solicited_node_group("fd00:10:244::2".parse().unwrap());
        assert_eq!(group, "ff02::1:ff00:2".parse::<Ipv6Addr>().unwrap());
        assert!(is_member(text, "eth0", group));
        assert!(!is_member(text, "lo", group));
        assert!(!is_member(text, "eth0", solicited_node_group("fd00:10:244::3".parse().unwrap())));
    }
}
