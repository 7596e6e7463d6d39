//! What may become of a packet, whatever it was: nothing; itself with other ends, by an entry of FLOWS; its answer.
//! A packet that was well-formed stays so, and one that was not is not made to look so.

use crate::{
    frame::Frame,
    lab::Lab,
    read::read,
    text::Datagram,
    wire::{checksum_field, protocol_number},
};
use etherparse::IpHeaders;
use proxy_common::{
    abi::{FlowEntry, Tuple},
    packet::Action,
};

/// Has a packet translated, and looks at what came out.
pub fn check(lab: &Lab, mut frame: Frame<'_>) {
    let ip = frame.ip();
    let mut came = frame.clone();
    let action = lab.act(&mut frame);
    assert_eq!(frame.bytes[..ip], came.bytes[..ip], "the link header");
    if action == Action::Drop || (action == Action::Pass && frame.bytes == came.bytes) {
        return;
    }
    // Whoever is to complete the checksums does so.
    came.finish();
    frame.finish();
    let (before, after) = (&came.bytes[ip..], &frame.bytes[ip..]);
    let (came, gone) = (read(before), read(after));
    if action == Action::Return {
        return answered(&came, &gone);
    }
    assert_eq!(before.len(), after.len(), "the length");
    let changed: Vec<_> = (0..before.len()).filter(|at| before[*at] != after[*at]).collect();
    match (came, gone) {
        (Ok(came), Ok(gone)) => {
            let may = places(before, 0);
            let beyond: Vec<_> = changed.iter().filter(|at| !may.contains(at)).collect();
            assert!(beyond.is_empty(), "{came} became {gone}: bytes {beyond:?} of the packet have changed");
            assert!(gone.ttl == came.ttl || gone.ttl + 1 == came.ttl, "{came} became {gone}");
            assert_eq!(bare(gone.clone()), bare(came.clone()));
            by_an_entry(lab, &came, &gone);
        }
        (Err(came), gone) => {
            assert!(gone.is_err(), "a packet of which {came} became {gone:?}");
            // Twice the addresses, ports and checksums: of an ICMP error and of the packet in it.
            let (address, hops) = if before[0] >> 4 == 6 { (32, 1) } else { (8, 3) };
            assert!(changed.len() <= 2 * (address + 4 + 4) + hops + 2, "bytes {changed:?} have changed");
        }
        (Ok(came), Err(gone)) => panic!("{came} became a packet of which {gone}"),
    }
}

/// An answer is well-formed, but for the packet in it if that was not, and goes to who has sent that.
fn answered(came: &Result<Datagram, String>, gone: &Result<Datagram, String>) {
    let inside = |error: &String| error.ends_with("in the packet inside") && came.is_err();
    assert!(gone.is_ok() || gone.as_ref().is_err_and(inside), "{came:?} was answered by {gone:?}");
    let (Ok(came), Ok(gone)) = (came, gone) else { return };
    assert_eq!((gone.source.ip, gone.destination.ip), (came.destination.ip, came.source.ip));
    match &gone.inner {
        None => {
            assert!(
                came.protocol == "tcp" && gone.protocol == "tcp" && gone.what.contains('R') && gone.data == 0
            );
            assert_eq!((gone.source, gone.destination), (came.destination, came.source));
        }
        Some(inner) => {
            assert_eq!((inner.source, inner.destination), (came.source, came.destination));
            assert_eq!((inner.ttl, inner.extras.first()), (came.ttl, came.extras.first()));
        }
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

/// The bytes of the IP packet at `at` that a translation may change.
fn places(bytes: &[u8], at: usize) -> Vec<usize> {
    let packet = &bytes[at..];
    let (headers, payload, _) = IpHeaders::from_slice_lax(packet).unwrap();
    let (mut places, error): (Vec<usize>, bool) = match headers {
        IpHeaders::Ipv4(..) => ([8].into_iter().chain(10..20).collect(), payload.ip_number.0 == 1),
        IpHeaders::Ipv6(..) => ((7..40).collect(), payload.ip_number.0 == 58),
    };
    let transport = packet.len() - payload.payload.len() - after(&headers, packet, payload.payload.len());
    if error {
        places.extend(transport + 2..transport + 4);
        if at == 0 && packet.len() > transport + 8 + 20 {
            places.extend(self::places(bytes, transport + 8));
        }
    } else if checksum_field(payload.ip_number.0).is_some() {
        places.extend(transport..transport + 4);
        let field = transport + checksum_field(payload.ip_number.0).unwrap();
        places.extend(field..field + if payload.ip_number.0 == 132 { 4 } else { 2 });
    }
    places.into_iter().map(|place| at + place).collect()
}

/// Bytes behind the end of the IP packet.
fn after(headers: &IpHeaders, packet: &[u8], payload: usize) -> usize {
    packet.len() - headers.header_len() - payload
}

/// An entry of FLOWS says what a packet, or the one that an ICMP error carries, has become.
fn by_an_entry(lab: &Lab, came: &Datagram, gone: &Datagram) {
    let about = |packet: &Datagram| packet.inner.as_deref().cloned().unwrap_or_else(|| packet.clone());
    let error = came.inner.is_some();
    let (inner_came, inner_gone) = (about(came), about(gone));
    // The entry for what comes from the other end says what becomes of an error.
    let turn = |tuple: Tuple| if error { tuple.reversed() } else { tuple };
    let is = |packet: &Datagram, tuple: &Tuple| {
        let there = turn(*tuple);
        // A later fragment shows no ports.
        let same = |port: Option<u16>, other: u16| port.is_none_or(|port| port.to_be() == other);
        there.source == packet.source.ip.into()
            && there.destination == packet.destination.ip.into()
            && same(packet.source.port, there.source_port)
            && same(packet.destination.port, there.destination_port)
            && there.protocol == u32::from(protocol_number(packet))
    };
    let flows = lab.world.flows.borrow();
    let leads = |(key, entry): (&Tuple, &FlowEntry)| {
        is(&inner_came, key) && is(&inner_gone, &entry.translated(key.protocol))
    };
    assert!(flows.iter().any(leads), "{came} became {gone}, but no entry says so: {flows:?}");
}
