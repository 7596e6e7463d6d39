//! The addresses of this node's interfaces, followed live over netlink: where NodePorts answer unless they
//! answer on the primary addresses only.
//!
//! A notification only says that something changed; the whole list is read then. So one that is lost, which
//! the kernel reports as ENOBUFS, costs nothing.

use crate::model::Event;
use futures_util::{TryStreamExt as _, future::ready};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        socket_with,
    },
};
use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h: the groups that hear of addresses.
const GROUPS: u32 = 0x10 | 0x100;

/// Changes come in crowds (an interface that goes down loses all its addresses): the list is read once they
/// have been quiet for so long, but not later than [`LATEST`] after the first.
const QUIET: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(1);

/// How soon a list that could not be read is read again, and how soon the thread notices that nobody listens
/// any more.
const PAUSE: Duration = Duration::from_secs(1);

/// A system call of netlink failed.
#[derive(Debug, thiserror::Error)]
#[error("the addresses of this node's interfaces: {call}: {source}")]
pub struct AddressError {
    /// The call, or the request.
    pub call: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// Follows the addresses of the network namespace that it was started in, on a thread of its own.
#[derive(Debug)]
pub struct AddressFollower {
    events: UnboundedReceiver<Event>,
}

impl AddressFollower {
    /// Begins to follow them; the event lists those of now.
    ///
    /// # Errors
    /// Of the first call that failed.
    pub fn start() -> Result<(Self, Event), AddressError> {
        let failed = |call| move |source| AddressError { call, source };
        let (first, started) = std::sync::mpsc::sync_channel(1);
        let (sender, events) = unbounded_channel();
        let follow = move || match Follow::start() {
            Ok((mut follow, list)) => {
                let _ = first.send(Ok(list));
                follow.run(&sender);
            }
            Err(error) => {
                let _ = first.send(Err(error));
            }
        };
        thread::Builder::new().name("addresses".to_owned()).spawn(follow).map_err(failed("clone"))?;
        let list = started.recv().map_err(|_| failed("clone")(io::ErrorKind::BrokenPipe.into()))??;
        Ok((Self { events }, Event::LocalAddresses(list)))
    }

    /// The next list that differs from the last; waits for ever once the thread has ended. No list is lost
    /// if it is dropped before it has ended.
    pub async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

/// What the thread has.
struct Follow {
    notifications: OwnedFd,
    runtime: Runtime,
    /// What was reported last, ascending.
    reported: Vec<IpAddr>,
}

impl Follow {
    fn start() -> Result<(Self, Vec<IpAddr>), AddressError> {
        let notifications = subscribe()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.map_err(|source| AddressError { call: "epoll_create", source })?;
        // Read after the subscription, so that no change falls between the two.
        let reported = runtime.block_on(list())?;
        Ok((Self { notifications, runtime, reported: reported.clone() }, reported))
    }

    /// Reports changes for as long as somebody listens.
    fn run(&mut self, listener: &UnboundedSender<Event>) {
        let mut changed = false;
        while !listener.is_closed() {
            changed |= self.notified(PAUSE);
            if !changed {
                continue;
            }
            let latest = Instant::now() + LATEST;
            while Instant::now() < latest && self.notified(QUIET) {}
            match self.runtime.block_on(list()) {
                Ok(list) => {
                    changed = false;
                    if list != self.reported {
                        self.reported.clone_from(&list);
                        // Nobody listens only at the end of the process.
                        let _ = listener.send(Event::LocalAddresses(list));
                    }
                }
                Err(error) => tracing::warn!("{error}; tried again in {PAUSE:?}"),
            }
        }
    }

    /// Waits for a notification, at most so long, and reads all that are there. A socket that cannot be read
    /// says nothing any more; then the list is read at every pause.
    fn notified(&self, longest: Duration) -> bool {
        let mut wait = [PollFd::new(&self.notifications, PollFlags::IN)];
        // Neither QUIET nor PAUSE is out of a timespec's range.
        let timeout = Timespec::try_from(longest).ok();
        match poll(&mut wait, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return false,
            Ok(_) => {}
            Err(_) => thread::sleep(longest),
        }
        // A longer message is cut off, and nobody reads it anyway.
        let mut buffer = [0_u8; 512];
        loop {
            match recv(&self.notifications, &mut buffer, RecvFlags::DONTWAIT) {
                // ENOBUFS: some did not fit, which is a notification like any other.
                Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                Err(errno) => {
                    tracing::warn!("the addresses of this node's interfaces: recv: {errno}");
                    thread::sleep(longest);
                    return true;
                }
            }
        }
    }
}

/// A socket that hears of every address that comes or goes.
fn subscribe() -> Result<OwnedFd, AddressError> {
    let failed = |call| move |errno: Errno| AddressError { call, source: errno.into() };
    // `None` is protocol 0, NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .map_err(failed("socket(AF_NETLINK)"))?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).map_err(failed("bind(AF_NETLINK)"))?;
    Ok(socket)
}

/// Every address of the namespace's interfaces, loopback's among them, ascending.
async fn list() -> Result<Vec<IpAddr>, AddressError> {
    let (connection, netlink, _) =
        rtnetlink::new_connection().map_err(|source| AddressError { call: "socket(AF_NETLINK)", source })?;
    let connection = tokio::spawn(connection);
    let found = netlink.address().get().execute().try_filter_map(|message| ready(Ok(usable(&message))));
    let found = found.try_collect::<BTreeSet<_>>().await;
    connection.abort();
    let source = |error| match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other),
    };
    let found = found.map_err(|error| AddressError { call: "RTM_GETADDR", source: source(error) })?;
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
    use netlink_packet_route::address::AddressMessage;

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
                let (follow, _) = Follow::start().unwrap();
                let witness = subscribe().unwrap();
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
                let list = follow.runtime.block_on(list()).unwrap();
                assert!(list.contains(&address(0)) && list.contains(&address(buffer / 256 - 1)));
            })
            .unwrap();
    }
}
