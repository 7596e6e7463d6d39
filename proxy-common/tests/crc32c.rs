//! The update of SCTP's checksum against its computation anew, by a library.

use crc::{CRC_32_ISCSI, Crc};
use proptest::{collection::vec, prelude::*};
use proxy_common::packet::crc32c::updated;

/// CRC32c by its name in the catalogue of CRCs: iSCSI (RFC 3720) had it before SCTP.
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// Bytes of SCTP's common header, of the ports that begin it, and where it has the checksum.
const HEADER: usize = 12;
const PORTS: usize = 4;
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// The most that the length fields of IPv4 and IPv6 can say.
const LONGEST: usize = u16::MAX as usize;

/// Writes the checksum of RFC 9260, appendix A: over the packet with a field of zeros, the low byte first.
fn sum(packet: &mut [u8]) {
    packet[CHECKSUM].fill(0);
    let checksum = CRC32C.checksum(packet);
    packet[CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
}

/// Gives a packet new ports and the checksum that follows from the old one.
fn translate(packet: &mut [u8], ports: [u8; 4]) {
    let checksum = four(&packet[CHECKSUM]);
    let bytes_after = u32::try_from(packet.len() - PORTS).expect("length");
    let checksum = updated(checksum, four(&packet[..PORTS]), ports, bytes_after);
    packet[..PORTS].copy_from_slice(&ports);
    packet[CHECKSUM].copy_from_slice(&checksum);
}

fn four(bytes: &[u8]) -> [u8; 4] {
    bytes.try_into().expect("four bytes")
}

fn packets(lengths: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), lengths).prop_map(|mut packet| {
        sum(&mut packet);
        packet
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn an_updated_checksum_is_that_of_the_new_packet(
        packet in prop_oneof![9 => packets(HEADER..=9000), 1 => packets(9001..=LONGEST)],
        ports: [u8; 4],
    ) {
        // No checksum; see the last test.
        prop_assume!(packet[CHECKSUM] != [0; 4]);
        let mut translated = packet.clone();
        translate(&mut translated, ports);
        let mut computed = packet;
        computed[..PORTS].copy_from_slice(&ports);
        sum(&mut computed);
        prop_assert_eq!(translated, computed);
    }

    #[test]
    fn the_way_back_restores_the_packet(packet in packets(HEADER..=1500), ports: [u8; 4]) {
        let mut translated = packet.clone();
        translate(&mut translated, ports);
        // It may have become 0, which is no checksum to the way back.
        prop_assume!(translated[CHECKSUM] != [0; 4]);
        translate(&mut translated, four(&packet[..PORTS]));
        prop_assert_eq!(translated, packet);
    }
}

/// A CRC is linear: the right change for each of the 32 bits of the ports, at every length, is the right one for
/// all ports of all packets.
#[test]
fn every_bit_of_the_ports_counts_at_every_length() {
    let checksum = 0xDEAD_BEEF_u32;
    for bit in 0..u32::BITS {
        let ports = (1_u32 << bit).to_le_bytes();
        // Two packets that differ in that bit and hold zeros otherwise, growing byte by byte.
        let (mut without, mut with) = (CRC32C.digest(), CRC32C.digest());
        without.update(&[0; PORTS]);
        with.update(&ports);
        for bytes_after in 0..=u32::from(u16::MAX) {
            let difference = without.clone().finalize() ^ with.clone().finalize();
            let result = updated(checksum.to_le_bytes(), [0; PORTS], ports, bytes_after);
            assert_eq!(
                result,
                (checksum ^ difference).to_le_bytes(),
                "bit {bit}, {bytes_after} bytes after the ports"
            );
            without.update(&[0]);
            with.update(&[0]);
        }
    }
}

/// One packet by hand, for the byte order: DATA "shunt" from port 36412 to 30812, which becomes 7000. Both checksums
/// are scapy's.
#[test]
fn a_packet_on_the_wire() {
    let mut packet = *b"\x8e\x3c\x78\x5c\x01\x02\x03\x04\xdc\xaa\x86\xdc\x00\x03\x00\x15\x00\x00\
        \x00\x01\x00\x00\x00\x00\x00\x00\x00\x00shunt\x00\x00\x00";
    translate(&mut packet, [0x8E, 0x3C, 0x1B, 0x58]);
    assert_eq!(packet[CHECKSUM], [0x92, 0x0D, 0xE7, 0x0F]);
}

#[test]
fn a_checksum_that_nobody_computed_stays_so() {
    for bytes_after in [8, 1448, u32::from(u16::MAX)] {
        assert_eq!(updated([0; 4], [1, 2, 3, 4], [5, 6, 7, 8], bytes_after), [0; 4]);
    }
}
