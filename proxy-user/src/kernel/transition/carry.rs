//! Carries over what programs write and the agent does not: whom sockets and clients were given, and the flows of packets.
//! Programs change both maps meanwhile.

use super::copy::Turn;
use crate::kernel::entries::{Entries, read_entries};
use crate::kernel::object::{AFFINITY, FLOWS, FRAGMENTS, MapName, REVERSE, UDP_FLOWS};
use crate::kernel::sys::MapFd;
use proxy_common::abi::{AffinityEntry, FlowEntry, FlowFlags, Seen};
use std::collections::HashMap;
use std::io;
use zerocopy::{FromBytes, IntoBytes};

/// The maps whose entries are carried over.
pub const REMEMBERED: [MapName; 5] = [FRAGMENTS, UDP_FLOWS, REVERSE, AFFINITY, FLOWS];

/// Who decides about what begins, and so which of two entries counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authority {
    /// The programs with the former maps.
    Former,
    /// Those with ours.
    Ours,
}

/// One map and what takes its place.
pub struct Memory<'a> {
    /// Name of both.
    pub name: MapName,
    /// Where entries come from.
    pub from: &'a MapFd,
    /// Where they go to.
    pub to: &'a MapFd,
    /// How they are said there, if otherwise.
    pub turn: Option<Turn<'a>>,
}

/// What becomes of an entry.
enum Step {
    Leave,
    Add,
    Put,
    Replace(Vec<u8>),
}

impl Memory<'_> {
    /// Carries over what is missing, or older, in our map. Flows that were silent since `since` (seconds of
    /// CLOCK_MONOTONIC) are not missing: they have come over before, and may have been forgotten since. Returns how many
    /// entries came.
    ///
    /// # Errors
    /// Of the call that failed; what came before stays.
    pub fn pass(&self, authority: Authority, since: u32) -> io::Result<usize> {
        let ours = read_entries(self.to)?;
        let known: HashMap<&[u8], &[u8]> = ours.iter().collect();
        let theirs = self.read()?;
        let mut came = 0;
        // Those of answers first, as the programs write them.
        for answers in [true, false] {
            for (key, value) in theirs.iter() {
                if is_answer(self.name, value) != answers {
                    continue;
                }
                let done = match step(self.name, authority, since, value, known.get(key).copied()) {
                    Step::Leave => false,
                    Step::Add => self.to.insert(key, value)?,
                    Step::Put => self.to.update(key, value).map(|()| true)?,
                    Step::Replace(value) => self.to.replace(key, &value)?,
                };
                came += usize::from(done);
            }
        }
        Ok(came)
    }

    /// The entries of the former map, as ours says them.
    fn read(&self) -> io::Result<Entries> {
        let entries = read_entries(self.from)?;
        let Some(turn) = self.turn else { return Ok(entries) };
        let mut turned = Entries::new(self.to)?;
        for (key, value) in entries.iter() {
            if let Some((key, value)) = turn(key, value) {
                turned.push(&key, &value);
            }
        }
        Ok(turned)
    }
}

fn step(name: MapName, authority: Authority, since: u32, theirs: &[u8], ours: Option<&[u8]>) -> Step {
    if ours == Some(theirs) {
        return Step::Leave;
    }
    match (name, ours) {
        (FLOWS, None) => match FlowEntry::read_from_bytes(theirs) {
            Ok(flow) if flow.last_seen < since => Step::Leave,
            _ => Step::Add,
        },
        (FLOWS, Some(ours)) => merged(theirs, ours).map_or(Step::Leave, Step::Replace),
        (_, None) => Step::Add,
        (AFFINITY, Some(ours)) => {
            let last = |bytes| AffinityEntry::read_from_bytes(bytes).map_or(0, |entry| entry.last_flow);
            if last(theirs) > last(ours) { Step::Put } else { Step::Leave }
        }
        (_, Some(_)) if authority == Authority::Former => Step::Put,
        (_, Some(_)) => Step::Leave,
    }
}

/// Our entry of a flow with what the former one has seen of it too, if that is more: the end of a flow may have passed
/// between the look at its entry and the writing of ours. `None` if nothing is missing, or it is another flow.
fn merged(theirs: &[u8], ours: &[u8]) -> Option<Vec<u8>> {
    let theirs = FlowEntry::read_from_bytes(theirs).ok()?;
    let ours = FlowEntry::read_from_bytes(ours).ok()?;
    let together = FlowEntry {
        client: Seen(ours.client.0 | theirs.client.0),
        server: Seen(ours.server.0 | theirs.server.0),
        ..ours
    };
    let same = FlowEntry { client: ours.client, server: ours.server, last_seen: ours.last_seen, ..theirs };
    (same == ours && together != ours).then(|| together.as_bytes().to_vec())
}

fn is_answer(name: MapName, value: &[u8]) -> bool {
    name == FLOWS
        && FlowEntry::read_from_bytes(value).is_ok_and(|entry| entry.flags.contains(FlowFlags::REPLY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::shape::MapShape;
    use aya_obj::generated::bpf_map_type;
    use proxy_common::abi::BackendRef;
    use zerocopy::Immutable;

    fn lru(value: usize, max_entries: u32) -> Option<MapFd> {
        if std::env::var_os("SHUNT_SKIP_LAB").is_some() {
            eprintln!("skipped: SHUNT_SKIP_LAB is set, and this test makes maps in the kernel");
            return None;
        }
        let map_type = bpf_map_type::BPF_MAP_TYPE_LRU_HASH as u32;
        let shape = MapShape { map_type, key_size: 4, value_size: value as u32, max_entries, flags: 0 };
        Some(MapFd::create(&shape, None).unwrap())
    }

    fn put<T: IntoBytes + Immutable>(map: &MapFd, key: u32, value: &T) {
        map.update(&key.to_ne_bytes(), value.as_bytes()).unwrap();
    }

    fn get<T: FromBytes>(map: &MapFd, key: u32) -> Option<T> {
        T::read_from_bytes(&map.lookup(&key.to_ne_bytes()).ok()?).ok()
    }

    #[test]
    fn who_decides_has_the_last_word() {
        let backend = |index| BackendRef::new(index, 1);
        let Some((from, to)) = lru(8, 100).zip(lru(8, 200)) else { return };
        let memory = Memory { name: UDP_FLOWS, from: &from, to: &to, turn: None };
        put(&from, 1, &backend(1));
        put(&from, 2, &backend(2));
        assert_eq!(memory.pass(Authority::Former, 0).unwrap(), 2);
        put(&from, 1, &backend(7));
        assert_eq!(memory.pass(Authority::Ours, 0).unwrap(), 0);
        assert_eq!(get(&to, 1), Some(backend(1)));
        assert_eq!(memory.pass(Authority::Former, 0).unwrap(), 1);
        assert_eq!(get(&to, 1), Some(backend(7)));
        put(&from, 3, &backend(3));
        assert_eq!(memory.pass(Authority::Ours, 0).unwrap(), 1);
    }

    #[test]
    fn the_later_affinity_counts() {
        let entry = |index, last_flow| AffinityEntry { backend: BackendRef::new(index, 1), last_flow };
        let Some((from, to)) = lru(16, 100).zip(lru(16, 200)) else { return };
        let memory = Memory { name: AFFINITY, from: &from, to: &to, turn: None };
        put(&from, 1, &entry(1, 50));
        put(&to, 1, &entry(2, 60));
        put(&from, 2, &entry(3, 80));
        put(&to, 2, &entry(4, 70));
        assert_eq!(memory.pass(Authority::Ours, 0).unwrap(), 1);
        assert_eq!(get::<AffinityEntry>(&to, 1), Some(entry(2, 60)));
        assert_eq!(get::<AffinityEntry>(&to, 2), Some(entry(3, 80)));
    }

    #[test]
    fn the_end_of_a_flow_is_not_lost_and_what_was_forgotten_does_not_come_back() {
        let flow = |source_port, seen, last_seen| FlowEntry {
            source_port,
            client: seen,
            last_seen,
            ..FlowEntry::default()
        };
        let Some((from, to)) = lru(64, 100).zip(lru(64, 200)) else { return };
        let memory = Memory { name: FLOWS, from: &from, to: &to, turn: None };
        let ended = Seen::ANY.union(Seen::FIN);
        put(&from, 1, &flow(1, ended, 100));
        put(&to, 1, &flow(1, Seen::ANY, 101));
        // Another flow from the same port.
        put(&from, 2, &flow(2, ended, 100));
        put(&to, 2, &flow(3, Seen::ANY, 101));
        put(&from, 3, &flow(4, Seen::ANY, 90));
        put(&from, 4, &flow(5, Seen::ANY, 99));
        assert_eq!(memory.pass(Authority::Ours, 95).unwrap(), 2);
        assert_eq!(get(&to, 1), Some(flow(1, ended, 101)));
        assert_eq!(get(&to, 2), Some(flow(3, Seen::ANY, 101)));
        assert_eq!(get::<FlowEntry>(&to, 3), None);
        assert_eq!(get(&to, 4), Some(flow(5, Seen::ANY, 99)));
    }

    #[test]
    fn entries_come_in_other_words() {
        let Some((from, to)) = lru(8, 100).zip(lru(16, 200)) else { return };
        let turn = |key: &[u8], value: &[u8]| {
            (value[0] != 9).then(|| (key.to_vec(), [[0; 8], value.try_into().unwrap()].concat()))
        };
        let memory = Memory { name: UDP_FLOWS, from: &from, to: &to, turn: Some(&turn) };
        put(&from, 1, &[5_u8; 8]);
        put(&from, 2, &[9_u8; 8]);
        assert_eq!(memory.pass(Authority::Ours, 0).unwrap(), 1);
        assert_eq!(get::<[[u8; 8]; 2]>(&to, 1), Some([[0; 8], [5; 8]]));
    }
}
