//! A hash of a tuple that spreads well: MurmurHash3's 32-bit mixing over ten words.

use crate::abi::Tuple;

#[inline(always)]
fn mix(hash: u32, word: u32) -> u32 {
    let word = word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    (hash ^ word).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
}

/// Spreads the bits of a word over all of them.
#[inline(always)]
pub fn finish(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

/// A hash of the whole tuple.
#[inline(always)]
pub fn of(tuple: &Tuple) -> u32 {
    let [a, b, c, d] = tuple.source.words;
    let [e, f, g, h] = tuple.destination.words;
    let ports = u32::from(tuple.source_port) << 16 | u32::from(tuple.destination_port);
    let hash = mix(mix(mix(mix(tuple.protocol, a), b), c), d);
    let hash = mix(mix(mix(mix(hash, e), f), g), h);
    finish(mix(hash, ports))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ports_spread_over_a_small_set() {
        let mut hits = [0_u32; 7];
        for port in 0..7_000_u16 {
            let tuple = Tuple { source_port: port.to_be(), protocol: 6, ..Tuple::default() };
            let slot = (u64::from(of(&tuple)) * 7) >> 32;
            hits[slot as usize] += 1;
        }
        assert!(hits.iter().all(|hits| (850..1150).contains(hits)), "{hits:?}");
    }
}
