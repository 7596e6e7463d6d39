//! A client that makes its own packets.

use crate::{
    ask::{PATIENCE, SILENCE},
    service::{Kind, frontend},
    stage::Stage,
    wire::{self, Ip, Packet},
};
use shunt::{
    lab::{Mac, lan::Frames},
    model::Family,
};
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// A host of the local network without a stack, which sends to the first node.
pub struct Raw {
    frames: Frames,
    node: Mac,
}

impl Raw {
    pub fn new(stage: &Stage) -> Self {
        Self { frames: stage.lan().add_frames().unwrap(), node: stage.node().mac("eth0").unwrap() }
    }

    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Hardware address of the first node.
    pub fn node(&self) -> Mac {
        self.node
    }

    pub fn ip(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.frames.ipv4().into(),
            Family::V6 => self.frames.ipv6().into(),
        }
    }

    /// A port of its own, of the family of an address.
    pub fn at(&self, port: u16, like: IpAddr) -> SocketAddr {
        SocketAddr::new(self.ip(Family::of(&like)), port)
    }

    /// Sends a packet to the first node.
    pub fn send(&self, packet: &[u8]) {
        self.send_frame(&wire::frame(self.node, self.frames.mac(), &[], packet));
    }

    pub fn send_frame(&self, frame: &[u8]) {
        self.frames.send(frame).unwrap();
    }

    /// Sends a datagram, with the IP header that `ip` makes of the usual one.
    pub fn send_udp(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        data: &[u8],
        ip: impl FnOnce(&mut Ip),
    ) -> Vec<u8> {
        let mut header = Ip::new(from.ip(), to.ip());
        ip(&mut header);
        let packet = header.carrying(wire::UDP, &wire::udp(from, to, data));
        self.send(&packet);
        packet
    }

    /// The next packet from `from` to `to`, which must come.
    #[track_caller]
    pub fn receive(&self, from: SocketAddr, to: SocketAddr) -> Packet {
        let next = self.next(PATIENCE, |packet| packet.payload.len() >= 8 && packet.ends() == (from, to));
        next.unwrap_or_else(|| panic!("nothing came from {from} to {to}"))
    }

    /// The next ICMP error, which must come.
    #[track_caller]
    pub fn receive_error(&self) -> Packet {
        self.next(PATIENCE, |packet| packet.error().is_some()).unwrap_or_else(|| panic!("no error came"))
    }

    /// The next packet to it that is as wanted.
    pub fn next(&self, limit: Duration, wanted: impl FnMut(&Packet) -> bool) -> Option<Packet> {
        wire::receive(&self.frames, limit, wanted)
    }

    /// That nothing comes to it but neighbour discovery.
    #[track_caller]
    pub fn assert_silence(&self) {
        let heard = self.next(SILENCE / 2, |packet| packet.protocol != 58 || packet.error().is_some());
        assert!(heard.is_none(), "{heard:x?}");
    }

    /// A question by UDP, and its answer; returns what the server says of itself.
    #[track_caller]
    pub fn ask(&self, from: SocketAddr, to: SocketAddr, ip: impl FnOnce(&mut Ip)) -> String {
        self.send_udp(from, to, &[b'?'; 64], ip);
        let answer = self.receive(to, from);
        let line = answer.data().split(|byte| *byte == b'\n').next().unwrap();
        String::from_utf8(line.to_vec()).unwrap()
    }
}

/// The NodePort of a Service, in both families.
pub fn node_ports(stage: &Stage, number: u8) -> [SocketAddr; 2] {
    Family::BOTH.map(|family| frontend(number, Kind::NodePort, family, stage.node()))
}
