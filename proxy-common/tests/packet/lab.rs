//! A node with Services, and what it does with packets: each test runs in every variant of them.
//!
//! ```text
//! 192.0.2.9, 192.0.2.2 ── eth0 192.0.2.1 ─ node ─ cni0 ── 10.244.1.x   pods of this node
//! 203.0.113.x ── 192.0.2.254 ┘                 └ vxlan ── 10.244.3.x   pods of another one, as 10.244.2.x behind
//!                                                         192.0.2.2 are
//! ```
//! IPv6 addresses are the IPv4 ones in other clothes (see [`six`]). The node has one port for what it sends in a
//! client's place, 50000, unless a test says otherwise.

use crate::{
    fake::Fake,
    frame::{Frame, Kind, Link, MACS},
    net::{DEVICES, Net},
    read::read,
    text::{Datagram, six},
    world::World,
};
use proxy_common::{
    abi::{Address, BackendFlags, Counter, DeviceFlags, FrontendFlags, ServiceFlags, TCP, UDP},
    packet::{Action, Hook, Work, translate},
};
use std::{cell::RefCell, net::IpAddr};

#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub v6: bool,
    pub kind: Kind,
    pub link: Link,
}

pub struct Lab {
    pub world: World,
    pub net: Net,
    pub variant: Variant,
    work: RefCell<Work>,
}

/// Runs a test in both families, with every kind of checksum.
pub fn every(test: impl Fn(&mut Lab)) {
    for v6 in [false, true] {
        for kind in [Kind::None, Kind::Partial, Kind::Complete] {
            test(&mut Lab::new(Variant { v6, kind, link: Link::Ethernet }));
        }
    }
}

impl Lab {
    pub fn new(variant: Variant) -> Self {
        let mut world = World::default();
        if variant.link == Link::Headerless {
            world.devices.values_mut().for_each(|device| device.flags |= DeviceFlags::HEADERLESS);
        }
        let mut lab = Self { world, net: Net::default(), variant, work: RefCell::default() };
        let node = lab.text("192.0.2.1");
        lab.world.fake.node_address(&node);
        lab
    }

    pub fn v4() -> Self {
        Self::new(Variant { v6: false, kind: Kind::None, link: Link::Ethernet })
    }

    pub fn v6() -> Self {
        Self::new(Variant { v6: true, kind: Kind::None, link: Link::Ethernet })
    }

    /// A text of this variant's family.
    pub fn text(&self, text: &str) -> String {
        if self.variant.v6 { six(text) } else { text.to_owned() }
    }

    pub fn ip(&self, ip: &str) -> Address {
        self.text(ip).parse::<IpAddr>().unwrap().into()
    }

    /// Adds a service port with these endpoints; those in 10.244.1.0/24 and the node's own are on this node.
    pub fn serve(&mut self, cluster_ip: &str, protocol: u8, endpoints: &[&str]) -> u32 {
        let cluster_ip = self.text(cluster_ip);
        let here = |endpoint: &&&str| endpoint.starts_with("10.244.1.") || endpoint.starts_with("192.0.2.1:");
        let local: Vec<_> = endpoints.iter().filter(here).map(|endpoint| self.text(endpoint)).collect();
        let all: Vec<_> = endpoints.iter().map(|endpoint| self.text(endpoint)).collect();
        let [local, all] = [&local, &all].map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
        let fake: &mut Fake = &mut self.world.fake;
        let service = fake.serve(&cluster_ip, protocol, &all, &local);
        if !endpoints.is_empty() {
            fake.policy(service, ServiceFlags::ANY_USABLE);
        }
        for endpoint in local {
            let all = BackendFlags::LIVE.union(BackendFlags::IN_CLUSTER).union(BackendFlags::IN_LOCAL);
            fake.becomes(service, endpoint, all.union(BackendFlags::LOCAL));
        }
        service
    }

    /// TCP port 80 and UDP port 53 of the ClusterIP 10.96.0.10, both as NodePort 30080, behind one endpoint.
    pub fn serve_at(endpoint: &str) -> impl Fn(&mut Self) {
        let endpoint = endpoint.to_owned();
        move |lab| {
            for (port, protocol) in [(80, TCP), (53, UDP), (132, proxy_common::abi::SCTP)] {
                let service = lab.serve(&format!("10.96.0.10:{port}"), protocol, &[&endpoint]);
                lab.frontend(service, FrontendFlags::NODE_PORT, "192.0.2.1:30080", protocol);
            }
        }
    }

    pub fn frontend(&mut self, service: u32, kind: FrontendFlags, frontend: &str, protocol: u8) {
        let frontend = self.text(frontend);
        self.world.fake.frontend(service, kind, &frontend, protocol);
    }

    /// A frame of this variant with this packet. `place` is `eth0 in`, `eth0 out`; what goes out was sent by the
    /// node itself, unless it is `forwarded`.
    pub fn frame(&self, place: &str, packet: &str) -> Frame<'_> {
        let mut words = place.split(' ');
        let name = words.next().unwrap();
        let device = DEVICES.iter().find(|(known, _)| *known == name).unwrap().1;
        let hook = if words.next() == Some("in") { Hook::Ingress } else { Hook::Egress };
        let packet: Datagram = self.text(packet).parse().unwrap();
        let Variant { kind, link, .. } = self.variant;
        let mut frame = Frame::new(&self.net, &packet, kind, link, hook, device);
        frame.made_here &= words.next() != Some("forwarded");
        frame
    }

    /// What the program does with a frame; proxy-user's tests ask the kernel too.
    pub fn act(&self, frame: &mut Frame<'_>) -> Action {
        crate::run::act(self, frame)
    }

    /// What the functions do with a frame.
    pub fn act_here(&self, frame: &mut Frame<'_>) -> Action {
        translate(frame, &self.world, &mut self.work.borrow_mut())
    }

    /// Translates a frame and says what became of it; see [`Self::sees`].
    pub fn translate(&self, frame: &mut Frame<'_>) -> String {
        let mut before = frame.bytes.clone();
        let action = self.act(frame);
        if action == Action::Pass && frame.bytes == before {
            return "pass".to_owned();
        }
        if action == Action::Drop {
            return "drop".to_owned();
        }
        frame.finish();
        let ip = frame.ip();
        before.truncate(ip);
        assert_eq!(frame.bytes[..ip], before, "the link header is as it was");
        assert!(ip == 0 || frame.bytes[..12] == MACS);
        let packet = read(&frame.bytes[ip..]).unwrap().to_string();
        let device = |index| DEVICES.iter().find(|(_, known)| *known == index).unwrap().0;
        match action {
            Action::Pass => format!("pass: {packet}"),
            Action::Return => format!("return: {packet}"),
            Action::Inject { device: to } => format!("into {}: {packet}", device(to)),
            Action::Forward { device: to, gateway } => {
                format!("{} via {}: {packet}", device(to), gateway.to_ip())
            }
            Action::Drop => unreachable!(),
        }
    }

    /// What becomes of a packet: `pass`, `drop`, `pass: ..` where it was changed, `eth0 via 192.0.2.2: ..`,
    /// `into eth0: ..`, `return: ..`.
    pub fn sees(&self, place: &str, packet: &str) -> String {
        self.translate(&mut self.frame(place, packet))
    }

    /// A table of places, packets and what becomes of them, one after the other.
    #[track_caller]
    pub fn check<const N: usize>(&self, steps: [(&str, &str, &str); N]) {
        for (step, (place, packet, becomes)) in steps.into_iter().enumerate() {
            let expected = self.text(becomes);
            assert_eq!(
                self.sees(place, packet),
                expected,
                "step {step}: {place}, {packet}; {:?}",
                self.variant
            );
        }
    }

    /// Everything that was counted.
    #[track_caller]
    pub fn counted(&self, expected: &[(Counter, u64)]) {
        assert_eq!(self.world.fake.counts(), expected, "{:?}", self.variant);
    }

    /// Time goes by.
    pub fn wait(&self, seconds: u64) {
        let now = &self.world.fake.now;
        now.set(now.get() + seconds * 1_000_000_000);
    }

    /// Number of entries in FLOWS.
    pub fn flows(&self) -> usize {
        self.world.flows.borrow().len()
    }

    pub fn forget_all(&self) {
        self.world.flows.borrow_mut().clear();
    }
}
