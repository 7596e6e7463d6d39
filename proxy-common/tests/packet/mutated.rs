//! Packets that are right, and packets that are anything but, in any order, as bytes decide: from a generator here, from
//! cargo-fuzz in `fuzz/fuzz_targets/packet.rs`. What comes of each is looked at by [`crate::sound`].

#[path = "../../../fuzz/src/bytes.rs"]
#[allow(dead_code, reason = "shared with the other fuzz targets")]
mod bytes;

use crate::{
    frame::{Frame, Kind, Link, Summed},
    lab::{Lab, Variant},
    sound,
};
use bytes::Bytes;
use proxy_common::abi::{FrontendFlags, PacketFlags, TCP};

const PACKETS: [(&str, &str); 32] = [
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp PA data=33 options"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp FA"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp R"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=31"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=31 nosum options"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 id=7 frag=0-24"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 udp data=40 id=7 frag=24-48"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 sctp init data=17"),
    ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 sctp shutdown data=4 options"),
    ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp SA"),
    ("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp FA ttl=1"),
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
    ("cni0 in", "10.244.1.6:4000 > 10.96.0.11:80 tcp S"),
    ("eth0 in", "192.0.2.9:4000 > 10.96.0.11:80 tcp S"),
    ("eth0 out forwarded", "10.244.1.5:8080 > 192.0.2.9:4000 tcp A data=9"),
    (
        "eth0 out forwarded",
        "10.244.1.5 > 192.0.2.9 icmp host-unreachable [192.0.2.9:4000 > 10.244.1.5:8080 tcp A]",
    ),
    ("cni0 in", "10.244.1.5:8080 > 10.244.1.1:50000 tcp SA data=3"),
    ("eth0 out", "192.0.2.1:4000 > 10.96.0.10:53 udp data=9"),
    ("cni0 out", "192.0.2.1:4000 > 10.96.0.11:80 tcp S"),
    ("eth0 in", "192.0.2.9:4000 > 198.51.100.5:80 tcp S"),
    ("vxlan in", "10.244.3.7:4000 > 192.0.2.1:30080 tcp S routing destination"),
    ("other in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S"),
];

/// Most packets of one history.
const MOST: usize = 24;

/// A packet beside the truth.
enum Damage {
    /// Some of its bytes are others.
    Bytes(Vec<(usize, u8)>),
    /// It is that much longer or shorter.
    Length(usize),
    /// All of it is noise; of the right version of IP, if so said.
    Noise(u64, bool),
}

fn damage(bytes: &mut Bytes<'_>) -> Damage {
    let number = |bytes: &mut Bytes<'_>| usize::from(u16::from_le_bytes([bytes.byte(), bytes.byte()]));
    match bytes.below(16) {
        0 => Damage::Length(number(bytes)),
        1 => Damage::Noise(number(bytes) as u64 + 1, bytes.below(4) > 0),
        // Half of them are whole.
        2..8 => Damage::Bytes(Vec::new()),
        some => Damage::Bytes((0..some / 5).map(|_| (number(bytes), bytes.byte())).collect()),
    }
}

/// The next of a sequence of numbers that look random (xorshift).
pub fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn apply(frame: &mut Frame<'_>, damage: Damage) {
    let ip = frame.ip();
    if let Summed::Partial { field, .. } = frame.summed {
        // Whoever leaves a checksum to be completed knows where: only what it is about changes.
        let payload = field + 4..frame.bytes.len();
        if let Damage::Bytes(bytes) = damage
            && !payload.is_empty()
        {
            for (at, byte) in bytes {
                frame.bytes[payload.start + at % payload.len()] = byte;
            }
        }
        return;
    }
    let length = frame.bytes.len();
    match damage {
        Damage::Bytes(bytes) => {
            bytes.into_iter().for_each(|(at, byte)| frame.bytes[ip + at % (length - ip)] = byte);
        }
        Damage::Length(to) => frame.bytes.resize(ip + to % (length - ip + 40), 0x5a),
        Damage::Noise(mut state, version) => {
            let first = frame.bytes[ip];
            frame.bytes[ip..].iter_mut().for_each(|byte| *byte = (next(&mut state) >> 32) as u8);
            if version {
                frame.bytes[ip] = first;
            }
        }
    }
    if let Summed::Complete(_) = frame.summed {
        frame.complete();
    }
}

/// A node, and packets that meet it one after the other. Returns how many.
pub fn history(bytes: &[u8]) -> usize {
    let bytes = &mut Bytes::new(bytes);
    let v6 = bytes.once_in(2);
    let kind = [Kind::None, Kind::Partial, Kind::Complete, Kind::None][bytes.below(4)];
    let link =
        [Link::Ethernet, Link::Ethernet, Link::Ethernet, Link::Tagged(1), Link::Tagged(2), Link::Headerless]
            [bytes.below(6)];
    let lab = &mut Lab::new(Variant { v6, kind, link });
    Lab::serve_at(
        ["10.244.2.5:8080", "10.244.1.5:8080", "192.0.2.1:8080", "10.244.3.5:8080"][bytes.below(4)],
    )(lab);
    lab.serve("10.96.0.11:80", 6, &["10.244.1.5:8080"]);
    let refused = lab.serve("10.96.0.12:80", 6, &[]);
    lab.frontend(refused, FrontendFlags::EXTERNAL_IP, "198.51.100.5:80", TCP);
    if bytes.once_in(4) {
        lab.world.settings.flags = PacketFlags::MASQUERADE_ALWAYS;
    }
    lab.world.settings.ports = [1, 3][bytes.below(2)];
    let mut count = 0;
    while count < MOST && (count == 0 || !bytes.is_empty()) {
        let (place, packet) = PACKETS[bytes.below(PACKETS.len())];
        let mut frame = lab.frame(place, packet);
        apply(&mut frame, damage(bytes));
        sound::check(lab, frame);
        if bytes.once_in(16) {
            lab.wait([1, 3, 11, 121, 300][bytes.below(5)]);
        }
        count += 1;
    }
    count
}

/// As many as SHUNT_PACKETS says; the sequence is always the same.
#[test]
fn whatever_comes_nothing_malformed_is_made() {
    let wanted = std::env::var("SHUNT_PACKETS").map_or(20_000, |number| number.parse().unwrap());
    let (mut count, mut state) = (0, 0x9e37_79b9_7f4a_7c15);
    while count < wanted {
        let before = count;
        let bytes: Vec<u8> =
            (0..16 + next(&mut state) % 100).map(|_| (next(&mut state) >> 40) as u8).collect();
        count += std::panic::catch_unwind(|| history(&bytes)).unwrap_or_else(|panic| {
            eprintln!("packets of the history {bytes:02x?}");
            std::panic::resume_unwind(panic)
        });
        if count / 100_000 > before / 100_000 {
            crate::run::report(count);
        }
    }
    crate::run::report(count);
}
