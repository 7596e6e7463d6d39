//! How many entries the maps have that programs write, counted slice by slice: the kernel keeps no such number.

use super::object::{self, MapName};
use super::pinned::PinnedMaps;
use super::sys::MapFd;
use crate::engine::Remembered;
use crate::writer::{MapReader as _, WriteError};
use proxy_common::abi::{AffinityEntry, AffinityKey};
use std::io;
use zerocopy::FromBytes;

/// Entries that one call of [`RememberedCount::step`] looks at, about; a millisecond's work.
const SLICE: usize = 2048;

const NANOSECONDS: u64 = 1_000_000_000;

/// The maps that are counted, one after the other. FLOWS is counted by whoever ages it.
const COUNTED: [MapName; 3] = [object::UDP_FLOWS, object::REVERSE, object::AFFINITY];

/// Where a count is, and what it has come to so far.
#[derive(Debug, Default)]
pub struct RememberedCount {
    /// By place in [`COUNTED`].
    map: usize,
    /// Cursor of BPF_MAP_LOOKUP_BATCH; `None` at the beginning of a map.
    cursor: Option<u64>,
    counts: [u32; 3],
}

impl RememberedCount {
    /// Looks at the next entries. `Some` once all maps were gone through: the next step begins again. `now` is
    /// CLOCK_MONOTONIC in nanoseconds: of AFFINITY, only entries count whose time has not run out.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH; the next step begins again.
    pub(super) fn step(&mut self, maps: &PinnedMaps, now: u64) -> Result<Option<Remembered>, WriteError> {
        let is_live = |key: &[u8], value: &[u8]| {
            let (Ok(key), Ok(entry)) =
                (AffinityKey::read_from_bytes(key), AffinityEntry::read_from_bytes(value))
            else {
                return false;
            };
            let lasts = maps.service(key.service).map_or(0, |service| service.affinity_seconds);
            now.saturating_sub(entry.last_flow) <= u64::from(lasts) * NANOSECONDS
        };
        let map = COUNTED.get(self.map).copied().unwrap_or(object::AFFINITY);
        let outcome = match map {
            object::UDP_FLOWS => slice(&maps.udp_flows, &mut self.cursor, |_, _| true),
            object::REVERSE => slice(&maps.reverse, &mut self.cursor, |_, _| true),
            _ => slice(&maps.affinity, &mut self.cursor, is_live),
        };
        let count = match outcome {
            Ok(count) => count,
            Err(source) => {
                *self = Self::default();
                return Err(WriteError { map, call: "BPF_MAP_LOOKUP_BATCH", done: 0, source });
            }
        };
        if let Some(sum) = self.counts.get_mut(self.map) {
            *sum = sum.saturating_add(count);
        }
        if self.cursor.is_none() {
            self.map += 1;
        }
        if self.map < COUNTED.len() {
            return Ok(None);
        }
        let [udp_flows, reverse, affinities] = std::mem::take(self).counts.map(Some);
        Ok(Some(Remembered { udp_flows, reverse, affinities, flows: None }))
    }
}

/// Counts the next entries of which `counts` says so, and moves the cursor: to `None` at the end.
fn slice(map: &MapFd, cursor: &mut Option<u64>, counts: impl Fn(&[u8], &[u8]) -> bool) -> io::Result<u32> {
    let (key, value) = (map.shape().key_size as usize, map.shape().value_size as usize);
    let most = map.shape().max_entries as usize;
    let mut room = SLICE.min(most);
    loop {
        let (mut keys, mut values) = (vec![0; room * key], vec![0; room * value]);
        let mut at = cursor.unwrap_or(0);
        match map.lookup_batch(&mut at, cursor.is_none(), &mut keys, &mut values) {
            Ok((count, more)) => {
                *cursor = more.then_some(at);
                let entries = keys.chunks_exact(key).zip(values.chunks_exact(value)).take(count);
                return Ok(entries.filter(|(key, value)| counts(key, value)).count() as u32);
            }
            // One bucket holds more than there is room for; it was not read.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < most => {
                room = (room * 2).min(most);
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::MapShape;
    use super::*;
    use aya_obj::generated::bpf_map_type;

    #[test]
    fn every_entry_is_counted_once() {
        if std::env::var_os("SHUNT_SKIP_LAB").is_some() {
            eprintln!("skipped: SHUNT_SKIP_LAB is set, and this test makes a map in the kernel");
            return;
        }
        let map_type = bpf_map_type::BPF_MAP_TYPE_LRU_HASH as u32;
        let shape = MapShape { map_type, key_size: 8, value_size: 8, max_entries: 16_384, flags: 0 };
        let map = MapFd::create(&shape, None).unwrap();
        for wanted in [0_u64, 1, 10_000] {
            for number in 0..wanted {
                map.update(&number.to_ne_bytes(), &(number % 2).to_ne_bytes()).unwrap();
            }
            let all = |counts: fn(&[u8], &[u8]) -> bool| {
                let (mut cursor, mut sum, mut steps) = (None, 0, 0);
                loop {
                    let count = slice(&map, &mut cursor, counts).unwrap();
                    assert!(count as usize <= SLICE, "a bounded step");
                    (sum, steps) = (sum + count, steps + 1);
                    if cursor.is_none() {
                        return (u64::from(sum), steps);
                    }
                }
            };
            let (count, steps) = all(|_, _| true);
            assert_eq!(count, wanted);
            assert!(steps >= wanted / SLICE as u64, "{steps}");
            assert_eq!(all(|_, value| value[0] == 1).0, wanted / 2);
        }
    }
}
