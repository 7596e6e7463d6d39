//! A tunnel to a node, whose devices have no link header.

use super::{
    addresses::{CLIENT, DEFAULT, GATEWAY, Network, tunnel},
    host::Host,
};
use crate::lab::{
    LabError, Namespace,
    tun::{self, Tun},
    worker::Worker,
};
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    os::fd::OwnedFd,
};

/// The peer's device.
const PEER_DEVICE: &str = "tun0";

/// How many packets are carried between two looks at everything else.
const BATCH: usize = 64;

/// A point-to-point link between a node and a client, by a tun device at each end: packets without a link
/// header, type ARPHRD_NONE, as with WireGuard. A thread carries them from one to the other. Dropping it
/// removes both devices.
#[derive(Debug)]
pub struct Tunnel {
    device: String,
    network: Network,
    client: Host,
    /// Last, so that the client's namespace has no device left when it goes.
    _carrier: Worker,
}

impl Tunnel {
    /// Makes the `number`th tunnel of the laboratory, with the node's device under this name.
    pub(super) fn new(node: &Namespace, device: &str, number: u8) -> Result<Self, LabError> {
        let client = Namespace::new(&format!("client of {device}"))?;
        let (near, far) = (Tun::packets(node, device)?, Tun::packets(&client, PEER_DEVICE)?);
        let network = tunnel(number);
        let carrier = Worker::start(move |stop| carry(&[near, far], stop));
        let carrier = carrier.map_err(|error| LabError::new("clone", device, error))?;
        for (address, prefix) in network.both(GATEWAY) {
            node.add_address(device, address, prefix)?;
        }
        let client = Host::settle(client, PEER_DEVICE, network, CLIENT)?;
        for everything in DEFAULT {
            client.add_route(everything, 0, None, PEER_DEVICE)?;
        }
        Ok(Self { device: device.to_owned(), network, client, _carrier: carrier })
    }

    /// The node's device.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The node's IPv4 address in the tunnel: 198.18.1.1 in the first one.
    #[must_use]
    pub fn node_ipv4(&self) -> Ipv4Addr {
        self.network.v4(GATEWAY)
    }

    /// The node's IPv6 address in the tunnel: 2001:db8:18:1::1 in the first one.
    #[must_use]
    pub fn node_ipv6(&self) -> Ipv6Addr {
        self.network.v6(GATEWAY)
    }

    /// The host at the other end, 198.18.1.100 and 2001:db8:18:1::100 in the first one. Whatever it sends
    /// goes to the node.
    #[must_use]
    pub fn client(&self) -> &Host {
        &self.client
    }
}

/// Carries packets both ways until it is told to stop. What a device does not take is lost, as on any wire.
fn carry(ends: &[Tun; 2], stop: &OwnedFd) -> io::Result<()> {
    let mut buffer = vec![0; tun::LARGEST];
    loop {
        let [near, far] = ends;
        let mut ready = [
            PollFd::new(near, PollFlags::IN),
            PollFd::new(far, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[2].revents().is_empty() {
            return Ok(());
        }
        for (from, to) in [(near, far), (far, near)] {
            for _ in 0..BATCH {
                let Some(packet) = from.receive(&mut buffer)? else { break };
                let _ = to.send(packet);
            }
        }
    }
}
