//! The addresses of this node's interfaces, followed live over netlink: where NodePorts answer unless they
//! answer on the primary addresses only.

use super::netlink::{Followed, Follower, NetlinkError};
use crate::model::Event;
use futures_util::{TryStreamExt as _, future::ready};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use std::{collections::BTreeSet, io, net::IpAddr};
use tokio::runtime::Runtime;

/// Follows the addresses of the network namespace that it was started in, on a thread of its own.
#[derive(Debug)]
pub struct AddressFollower(Follower<Addresses>);

impl AddressFollower {
    /// Begins to follow them; the event lists those of now.
    ///
    /// # Errors
    /// Of the first call that failed.
    pub fn start() -> Result<(Self, Event), NetlinkError> {
        let (follower, list) = Follower::start()?;
        Ok((Self(follower), Event::LocalAddresses(list)))
    }

    /// The next list that differs from the last; waits for ever once the thread has ended. No list is lost
    /// if it is dropped before it has ended.
    pub async fn next(&mut self) -> Event {
        Event::LocalAddresses(self.0.next().await)
    }
}

/// What is followed.
#[derive(Debug)]
struct Addresses(Runtime);

impl Followed for Addresses {
    /// Ascending.
    type List = Vec<IpAddr>;
    const WHAT: &str = "the addresses of this node's interfaces";
    const THREAD: &str = "addresses";
    /// RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR.
    const GROUPS: u32 = 0x10 | 0x100;

    fn concerns(_: &[u8]) -> bool {
        true
    }

    fn new() -> Result<Self, NetlinkError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        runtime.map(Self).map_err(failed("epoll_create"))
    }

    fn list(&mut self) -> Result<Vec<IpAddr>, NetlinkError> {
        self.0.block_on(list())
    }
}

fn failed(call: &'static str) -> impl FnOnce(io::Error) -> NetlinkError {
    move |source| NetlinkError { what: Addresses::WHAT, call, source }
}

/// Every address of the namespace's interfaces, loopback's among them, ascending.
async fn list() -> Result<Vec<IpAddr>, NetlinkError> {
    let (connection, netlink, _) = rtnetlink::new_connection().map_err(failed("socket(AF_NETLINK)"))?;
    let connection = tokio::spawn(connection);
    let found = netlink.address().get().execute().try_filter_map(|message| ready(Ok(usable(&message))));
    let found = found.try_collect::<BTreeSet<_>>().await;
    connection.abort();
    let source = |error| match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    };
    let found = found.map_err(|error| failed("RTM_GETADDR")(source(error)))?;
    Ok(found.into_iter().collect())
}

/// The address that a message is about. One that duplicate address detection (RFC 4862, 5.4) has not let
/// through yet, or never will, is not the node's.
fn usable(message: &AddressMessage) -> Option<IpAddr> {
    // The header holds the lower eight of the flags, and these two are among them.
    let refused = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    if message.header.flags.intersects(refused) {
        return None;
    }
    // Of a point-to-point interface, IFA_ADDRESS is the peer's.
    let own = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    own.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{Namespace, available};
    use crate::source::netlink::{Follow, PAUSE, subscribe};
    use rustix::{
        io::Errno,
        net::{RecvFlags, recv},
    };
    use std::time::Duration;

    fn message(flags: AddressHeaderFlags, attributes: &[AddressAttribute]) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.flags = flags;
        message.attributes = attributes.to_vec();
        message
    }

    #[test]
    fn an_address_that_duplicate_detection_holds_back_is_not_the_nodes() {
        let address: IpAddr = "fd00::1".parse().unwrap();
        let of = |flags| usable(&message(flags, &[AddressAttribute::Address(address)]));
        assert_eq!(of(AddressHeaderFlags::Permanent), Some(address));
        assert_eq!(of(AddressHeaderFlags::Permanent | AddressHeaderFlags::Tentative), None);
        assert_eq!(of(AddressHeaderFlags::Permanent | AddressHeaderFlags::Dadfailed), None);
    }

    #[test]
    fn the_far_end_of_a_point_to_point_interface_is_not_the_nodes() {
        let [own, peer] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse::<IpAddr>().unwrap());
        let attributes = [AddressAttribute::Address(peer), AddressAttribute::Local(own)];
        assert_eq!(usable(&message(AddressHeaderFlags::Permanent, &attributes)), Some(own));
    }

    #[test]
    fn notifications_that_were_lost_are_one_too() {
        if let Err(reason) = available() {
            eprintln!("skipped: {reason}");
            return;
        }
        let namespace = Namespace::new("node").unwrap();
        namespace
            .run(|| {
                let (mut follow, _) = Follow::<Addresses>::start().unwrap();
                let witness = subscribe::<Addresses>().unwrap();
                // One notification takes less than a page of the receive buffer (net.core.rmem_default).
                let buffer = rustix::net::sockopt::socket_recv_buffer_size(&witness).unwrap();
                let address = |last: usize| IpAddr::from([10, 0, (last / 250) as u8, (last % 250) as u8]);
                for last in 0..buffer / 256 {
                    namespace.add_address("lo", address(last), 32).unwrap();
                }
                let mut bytes = [0; 512];
                let lost = recv(&witness, &mut bytes, RecvFlags::DONTWAIT);
                assert_eq!(lost.unwrap_err(), Errno::NOBUFS, "the buffer is larger than this test thought");
                assert!(follow.notified(PAUSE), "a change is noticed");
                assert!(!follow.notified(Duration::ZERO), "once");
                let list = follow.followed.list().unwrap();
                assert!(list.contains(&address(0)) && list.contains(&address(buffer / 256 - 1)));
            })
            .unwrap();
    }
}
