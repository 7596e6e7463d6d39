//! Packets that are right, and packets that are anything but, in any order: what was well-formed stays so, an answer
//! always is, and nothing is changed but what a translation changes.

use crate::{
    frame::{Frame, Kind, Link, Summed},
    lab::{Lab, Variant},
    read::read,
    text::Datagram,
};
use proptest::prelude::*;
use proxy_common::{abi::PacketFlags, packet::Action};

const PACKETS: [(&str, &str); 22] = [
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp PA data=33 options"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp FA"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=31"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=31 nosum options"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 id=7 frag=0-24"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 id=7 frag=24-48"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=17"),
    ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp SA"),
    ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 udp data=3"),
    ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 sctp data data=33"),
    (
        "eth0 in",
        "10.244.2.5 > 192.0.2.1 icmp port-unreachable [192.0.2.1:50000 > 10.244.2.5:8080 udp data=31]",
    ),
    (
        "eth0 in",
        "192.0.2.2 > 192.0.2.1 icmp too-big options [192.0.2.1:50000 > 10.244.2.5:8080 tcp PA data=33 options]",
    ),
    (
        "eth0 in",
        "192.0.2.2 > 192.0.2.1 icmp too-big cut=48 [192.0.2.1:50000 > 10.244.2.5:8080 tcp PA data=33]",
    ),
    ("eth0 in", "192.0.2.9:4000 > 10.96.0.10:81 tcp S options"),
    ("eth0 in", "192.0.2.9:4000 > 10.96.0.10:81 udp data=9 options"),
    ("eth0 in", "192.0.2.9:4000 > 10.96.0.10:81 sctp init data=17"),
    ("eth0 in", "192.0.2.9 > 10.96.0.10 icmp echo data=30"),
    ("cni0 in", "10.244.1.5:4000 > 10.96.0.11:80 tcp S"),
    ("eth0 in", "192.0.2.9:4000 > 10.96.0.11:80 tcp S"),
    ("eth0 out forwarded", "10.244.1.5:8080 > 192.0.2.9:4000 tcp A data=9"),
    ("eth0 out", "192.0.2.1:4000 > 10.96.0.10:53 udp data=9"),
];

/// What happens to a packet's bytes: values to put in places, and how many of them remain (of those and a few more).
#[derive(Clone, Debug)]
struct Damage {
    bytes: Vec<(prop::sample::Index, u8)>,
    length: Option<prop::sample::Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let bytes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (bytes, prop::option::weighted(0.1, any::<prop::sample::Index>()))
        .prop_map(|(bytes, length)| Damage { bytes, length })
}

fn apply(frame: &mut Frame<'_>, damage: &Damage) {
    let ip = frame.ip();
    if let Summed::Partial { start, field, .. } = frame.summed {
        // Whoever leaves a checksum to be completed knows where: only what it is about changes.
        let payload = field + 4..frame.bytes.len();
        for (at, byte) in damage.bytes.iter().filter(|_| !payload.is_empty()) {
            frame.bytes[payload.start + at.index(payload.len())] = *byte;
        }
        assert!(start < field);
        return;
    }
    let length = frame.bytes.len();
    for (at, byte) in &damage.bytes {
        frame.bytes[ip + at.index(length - ip)] = *byte;
    }
    if let Some(at) = damage.length {
        frame.bytes.resize(ip + at.index(length - ip + 40), 0x5a);
    }
    if let Summed::Complete(_) = frame.summed {
        frame.complete();
    }
}

/// A packet without what a translation changes.
fn bare(mut packet: Datagram) -> Datagram {
    (packet.source, packet.destination, packet.ttl) =
        ("0.0.0.0".parse().unwrap(), "0.0.0.0".parse().unwrap(), 0);
    packet.inner = packet.inner.map(|inner| {
        let ttl = inner.ttl;
        Box::new(Datagram { ttl, ..bare(*inner) })
    });
    packet
}

fn check(lab: &Lab, place: &str, packet: &str, damage: &Damage) -> Result<(), TestCaseError> {
    let mut frame = lab.frame(place, packet);
    apply(&mut frame, damage);
    let before = frame.bytes.clone();
    let ip = frame.ip();
    let (net, summed, hook) = (frame.net, frame.summed, frame.hook);
    let mut came = Frame { bytes: before.clone(), net, summed, hook, ..frame };
    let mut frame = Frame { bytes: before.clone(), ..lab.frame(place, packet) };
    frame.summed = summed;
    came.finish();
    let came = read(&came.bytes[ip..]);

    let action = lab.act(&mut frame);
    prop_assert_eq!(&frame.bytes[..ip], &before[..ip], "the link header");
    if action == Action::Drop || (action == Action::Pass && frame.bytes == before) {
        return Ok(());
    }
    frame.finish();
    let gone = read(&frame.bytes[ip..]);
    if action == Action::Return {
        let inside = |error: &String| error.ends_with("in the packet inside") && came.is_err();
        prop_assert!(gone.is_ok() || gone.as_ref().is_err_and(inside), "{came:?} was answered by {gone:?}");
        let (Ok(came), Ok(gone)) = (came, gone) else { return Ok(()) };
        prop_assert_eq!((gone.source.ip, gone.destination.ip), (came.destination.ip, came.source.ip));
        match gone.inner {
            None => prop_assert!(gone.protocol == "tcp" && gone.what.contains('R') && gone.data == 0),
            Some(inner) => {
                prop_assert_eq!((inner.source, inner.destination), (came.source, came.destination));
                prop_assert_eq!((inner.ttl, inner.extras.first()), (came.ttl, came.extras.first()));
            }
        }
    } else if let Ok(came) = came {
        prop_assert!(gone.is_ok(), "{came} became {gone:?}");
        let gone = gone.unwrap();
        prop_assert!(gone.ttl == came.ttl || gone.ttl + 1 == came.ttl, "{came} became {gone}");
        prop_assert_eq!(bare(gone), bare(came));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_nothing_malformed_is_made(
        v6: bool,
        always: bool,
        kind in prop::sample::select(&[Kind::None, Kind::Partial, Kind::Complete]),
        link in prop::sample::select(&[Link::Ethernet, Link::Ethernet, Link::Tagged(1), Link::Tagged(2), Link::Headerless]),
        packets in prop::collection::vec((0..PACKETS.len(), damage()), 1..12),
    ) {
        let lab = &mut Lab::new(Variant { v6, kind, link });
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.serve("10.96.0.11:80", 6, &["10.244.1.5:8080"]);
        if always {
            lab.world.settings.flags = PacketFlags::MASQUERADE_ALWAYS;
        }
        for (packet, damage) in packets {
            let (place, packet) = PACKETS[packet];
            check(lab, place, packet, &damage)?;
        }
    }
}
