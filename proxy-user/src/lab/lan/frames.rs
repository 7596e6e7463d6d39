//! A host of the local network that is no host: every frame it sends is made by the test.

use super::addresses::{LAN, RAW};
use crate::lab::{
    Mac,
    tun::{self, Tun},
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

/// A port of the switch that the test itself has in hand: it sends Ethernet frames as they are, VLAN tags,
/// fragments and wrong checksums included, and receives what the switch delivers there. Nobody answers ARP
/// or neighbour solicitations; nodes and router know its addresses.
#[derive(Debug)]
pub struct Frames {
    tap: Tun,
    number: u8,
}

impl Frames {
    pub(super) fn new(tap: Tun, number: u8) -> Self {
        Self { tap, number }
    }

    /// 192.0.2.200 for the first.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        LAN.v4(RAW + self.number)
    }

    /// 2001:db8:1::200 for the first.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        LAN.v6(RAW + self.number)
    }

    /// The hardware address that belongs to its addresses.
    #[must_use]
    pub fn mac(&self) -> Mac {
        [0x02, 0xaa, 0, 0, 0, self.number]
    }

    /// Sends a frame, from its destination address to the end of its payload, without a frame check sequence.
    ///
    /// # Errors
    /// What write(2) said: `InvalidInput` if it is shorter than a header.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.tap.send(frame)
    }

    /// Receives the next frame that is as the test wants it, and throws away what comes before; `None` when
    /// time is up. A VLAN tag stands in the frame. Every frame is complete, whether the laboratory has
    /// offload or not: cut to size, with its checksums computed.
    ///
    /// # Errors
    /// What poll(2) or read(2) said.
    pub fn receive(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<Option<Vec<u8>>> {
        let end = Instant::now() + limit;
        let mut buffer = vec![0; tun::LARGEST];
        while self.tap.wait(end.saturating_duration_since(Instant::now()))? {
            if let Some(frame) = self.tap.receive(&mut buffer)?
                && wanted(frame)
            {
                return Ok(Some(frame.to_vec()));
            }
            if Instant::now() >= end {
                break;
            }
        }
        Ok(None)
    }
}
