//! The entries of FLOWS, as the kernel has them; and connections made by hand that cause them.

use crate::{
    ask::PATIENCE,
    raw::Raw,
    stage::Stage,
    wire::{ACK, FIN, Ip, Packet, RST, SYN, TCP, tcp},
};
use proxy_common::abi::{ABI_VERSION, FlowEntry, Tuple};
use shunt::kernel::sys::{Access, MapFd};
use std::{net::SocketAddr, time::Instant};
use zerocopy::{FromBytes, IntoBytes};

/// FLOWS of the first node.
pub struct Flows(MapFd);

impl Flows {
    pub fn of(stage: &Stage) -> Self {
        let pin = stage.pin_path().join(format!("v{ABI_VERSION}/maps/FLOWS"));
        Self(MapFd::open(&pin, Access::ReadWrite).unwrap())
    }

    pub fn entry(&self, key: &Tuple) -> Option<FlowEntry> {
        let value = self.0.lookup(key.as_bytes()).ok()?;
        Some(FlowEntry::read_from_bytes(&value).unwrap())
    }

    /// Both entries of a client's flow, which must be there and lead to each other.
    #[track_caller]
    pub fn both(&self, key: &Tuple) -> (FlowEntry, FlowEntry) {
        let forward = self.entry(key).unwrap_or_else(|| panic!("no entry of {key:?}"));
        let other = forward.other(key.protocol);
        let reply = self.entry(&other).unwrap_or_else(|| panic!("no entry of {other:?}"));
        assert_eq!(reply.other(key.protocol), *key);
        (forward, reply)
    }

    pub fn delete(&self, key: &Tuple) {
        self.0.delete(key.as_bytes()).unwrap();
    }

    /// Every key.
    pub fn keys(&self) -> Vec<Tuple> {
        let mut keys = Vec::new();
        let mut next = self.0.next_key(None).unwrap();
        while let Some(key) = next.filter(|_| keys.len() < 100_000) {
            keys.push(Tuple::read_from_bytes(&key).unwrap());
            next = self.0.next_key(Some(&key)).unwrap();
        }
        keys
    }
}

/// Key of the packets from one to the other.
pub fn key(from: SocketAddr, to: SocketAddr, protocol: u8) -> Tuple {
    Tuple {
        source: from.ip().into(),
        destination: to.ip().into(),
        source_port: from.port().to_be(),
        destination_port: to.port().to_be(),
        protocol: u32::from(protocol),
    }
}

/// A TCP connection whose client the test plays.
#[derive(Clone, Debug)]
pub struct Connection {
    pub from: SocketAddr,
    pub to: SocketAddr,
    /// What it sends next, and what it has received.
    pub seq: u32,
    pub ack: u32,
    /// The line that the server has greeted it with, so far.
    pub line: String,
}

impl Connection {
    pub fn new(from: SocketAddr, to: SocketAddr) -> Self {
        Self { from, to, seq: 1_000, ack: 0, line: String::new() }
    }

    /// Opens it, and reads the server's line.
    #[track_caller]
    pub fn open(raw: &Raw, from: SocketAddr, to: SocketAddr) -> Self {
        let mut connection = Self::new(from, to);
        connection.send(raw, SYN, b"");
        while !connection.line.ends_with('\n') {
            connection.take(raw, &raw.receive(to, from));
        }
        connection
    }

    /// Sends a segment; what it occupies is sent once only.
    pub fn send(&mut self, raw: &Raw, flags: u8, data: &[u8]) {
        self.repeat(raw, flags, data);
        self.seq = self.seq.wrapping_add(data.len() as u32 + u32::from(flags & (SYN | FIN) != 0));
    }

    /// Sends a segment that may have been sent before.
    pub fn repeat(&self, raw: &Raw, flags: u8, data: &[u8]) {
        let segment = tcp(self.from, self.to, self.seq, self.ack, flags, data);
        raw.send(&Ip::new(self.from.ip(), self.to.ip()).carrying(TCP, &segment));
    }

    /// Takes a segment of the server in, and acknowledges what is new of it. Returns its flags and data.
    #[track_caller]
    pub fn take(&mut self, raw: &Raw, packet: &Packet) -> (u8, Vec<u8>) {
        let (seq, _, flags, data) = packet.segment();
        assert_eq!(flags & RST, 0, "{self:?} was reset");
        let fresh = flags & SYN != 0 || seq == self.ack;
        if !fresh {
            return (flags, Vec::new());
        }
        let occupied = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.ack = seq.wrapping_add(occupied);
        if occupied != 0 {
            self.repeat(raw, ACK, b"");
        }
        if !self.line.ends_with('\n') {
            self.line.push_str(std::str::from_utf8(data).unwrap());
        }
        (flags, data.to_vec())
    }

    /// Sends data to an echo server until it is back, repeating it as TCP does.
    #[track_caller]
    pub fn exchange(&mut self, raw: &Raw, data: &[u8]) {
        let end = Instant::now() + PATIENCE;
        let mut back = Vec::new();
        let is_mine = |packet: &Packet| packet.payload.len() >= 20 && packet.ends() == (self.to, self.from);
        let mut now = self.clone();
        while back.len() < data.len() {
            assert!(Instant::now() < end, "{self:?} got {back:?}");
            self.repeat_with(raw, now.ack, data);
            while let Some(packet) = raw.next(PATIENCE / 25, is_mine) {
                back.extend(now.take(raw, &packet).1);
                if back.len() >= data.len() {
                    break;
                }
            }
        }
        assert_eq!(back, data);
        now.seq = now.seq.wrapping_add(data.len() as u32);
        *self = now;
        self.repeat(raw, ACK, b"");
    }

    fn repeat_with(&self, raw: &Raw, ack: u32, data: &[u8]) {
        Self { ack, ..self.clone() }.repeat(raw, ACK, data);
    }

    /// Waits for the server's FIN.
    #[track_caller]
    pub fn receive_fin(&mut self, raw: &Raw) {
        while self.take(raw, &raw.receive(self.to, self.from)).0 & FIN == 0 {}
    }

    /// The name in the server's line.
    pub fn name(&self) -> &str {
        self.line.split(' ').next().unwrap()
    }

    /// Whom the server saw.
    pub fn seen(&self) -> SocketAddr {
        self.line.trim_end().split(' ').nth(1).unwrap().parse().unwrap()
    }
}
