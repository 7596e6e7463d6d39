use super::*;
use proxy_common::abi::{Address, FlowFlags, Seen, TCP, UDP};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use zerocopy::IntoBytes;

const NOW: u32 = 1_000_000;

/// A map whose traffic and whims the test decides.
#[derive(Default)]
struct Fake {
    /// One that is removed leaves its place empty: the kernel's cursor is the number of a bucket.
    entries: RefCell<BTreeMap<Vec<u8>, Option<FlowEntry>>>,
    /// EINVAL to batch calls, as from a kernel that has none.
    no_batches: bool,
    /// Entries in the bucket that does not fit into a smaller buffer.
    large_bucket: usize,
    /// A packet of this flow comes once the map has been read.
    packet: Option<Tuple>,
    /// This flow is evicted once it has been looked at again.
    evicted: Option<Tuple>,
    calls: Cell<usize>,
}

impl Fake {
    fn insert(&self, tuple: Tuple, entry: FlowEntry) {
        self.entries.borrow_mut().insert(tuple.as_bytes().to_vec(), Some(entry));
    }

    fn has(&self, tuple: &Tuple) -> bool {
        self.entries.borrow().get(tuple.as_bytes()).is_some_and(Option::is_some)
    }

    fn left(&self) -> Vec<FlowEntry> {
        self.entries.borrow().values().copied().flatten().collect()
    }

    fn remove(&self, key: &[u8]) -> io::Result<()> {
        let removed = self.entries.borrow_mut().get_mut(key).and_then(Option::take);
        removed.map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn count(&self) {
        self.calls.set(self.calls.get() + 1);
    }

    /// Goes through the whole map.
    fn collect(&self, collector: &mut Collector) -> Collected {
        let mut sum = Collected::default();
        for _ in 0..100 {
            let step = collector.step_of(self, NOW).unwrap();
            sum.looked += step.looked;
            sum.removed += step.removed;
            if step.finished {
                return Collected { finished: true, ..sum };
            }
        }
        panic!("never ends: {sum:?}");
    }
}

impl Flows for Fake {
    fn capacity(&self) -> usize {
        10_000
    }

    fn next_batch(
        &self,
        cursor: &mut u64,
        first: bool,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> io::Result<(usize, bool)> {
        self.count();
        let room = keys.len() / size_of::<Tuple>();
        if self.no_batches {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if room < self.large_bucket {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let from = if first { 0 } else { *cursor as usize };
        let mut entries = self.entries.borrow_mut();
        let mut read = 0;
        for (key, entry) in entries.iter().skip(from).take(room) {
            let Some(entry) = entry else { continue };
            keys[read * size_of::<Tuple>()..][..size_of::<Tuple>()].copy_from_slice(key);
            values[read * size_of::<FlowEntry>()..][..size_of::<FlowEntry>()]
                .copy_from_slice(entry.as_bytes());
            read += 1;
        }
        *cursor = (from + room) as u64;
        if let Some(Some(entry)) = self.packet.and_then(|tuple| entries.get_mut(tuple.as_bytes())) {
            entry.last_seen = NOW;
        }
        Ok((read, from + room < entries.len()))
    }

    fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        self.count();
        let entries = self.entries.borrow();
        let mut there = entries.iter().filter(|(_, entry)| entry.is_some()).map(|(key, _)| key);
        let next = match key {
            // Like the kernel: a key that is gone leads to the first one.
            Some(key) if entries.get(key).is_some_and(Option::is_some) => {
                there.find(|next| next.as_slice() > key)
            }
            _ => there.next(),
        };
        Ok(next.cloned())
    }

    fn lookup(&self, key: &[u8]) -> io::Result<Vec<u8>> {
        self.count();
        let found = self.entries.borrow().get(key).copied().flatten();
        if self.evicted.is_some_and(|tuple| tuple.as_bytes() == key) {
            self.remove(key)?;
        }
        found.map(|entry| entry.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn delete_batch(&self, keys: &[u8]) -> Result<(), (usize, io::Error)> {
        self.count();
        if self.no_batches {
            return Err((0, io::Error::from_raw_os_error(libc::EINVAL)));
        }
        for (done, key) in keys.chunks_exact(size_of::<Tuple>()).enumerate() {
            self.remove(key).map_err(|error| (done, error))?;
        }
        Ok(())
    }

    fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.count();
        self.remove(key)
    }
}

fn tuple(number: u32, protocol: u8) -> Tuple {
    Tuple { source: Address::from_v4_word(number.to_be()), protocol: u32::from(protocol), ..Tuple::default() }
}

/// An entry of a flow that has been silent for so long.
fn silent(seconds: u32, client: u8, server: u8) -> FlowEntry {
    FlowEntry {
        client: Seen(client),
        server: Seen(server),
        last_seen: NOW - seconds,
        flags: FlowFlags::MASQUERADE,
        ..FlowEntry::default()
    }
}

#[test]
fn a_flow_is_forgotten_after_the_time_of_its_protocol_and_state() {
    let (any, fin, reset) = (Seen::ANY.0, Seen::ANY.0 | Seen::FIN.0, Seen::ANY.0 | Seen::RESET.0);
    let cases = [
        (UDP, any, 0, 30),
        (UDP, any, any, 120),
        (TCP, any, 0, 120),
        (TCP, any, any, 432_000),
        (TCP, fin, any, 120),
        (TCP, any, reset, 10),
        (132, any, 0, 30),
        (132, any, any, 210),
        (132, any, fin, 10),
    ];
    let fake = Fake::default();
    for (number, (protocol, client, server, timeout)) in (0..).step_by(2).zip(cases) {
        fake.insert(tuple(number, protocol), silent(timeout, client, server));
        fake.insert(tuple(number + 1, protocol), silent(timeout + 1, client, server));
    }
    // A program's clock is ahead of the collector's.
    fake.insert(tuple(100, UDP), FlowEntry { last_seen: NOW + 1, ..FlowEntry::default() });
    let wanted = Collected { looked: 2 * cases.len() + 1, removed: cases.len(), finished: true };
    assert_eq!(fake.collect(&mut Collector::default()), wanted);
    for (number, (protocol, ..)) in (0..).step_by(2).zip(cases) {
        assert!(fake.has(&tuple(number, protocol)) && !fake.has(&tuple(number + 1, protocol)), "{number}");
    }
}

#[test]
fn it_goes_slice_by_slice_and_counts_its_calls() {
    let fake = Fake::default();
    for number in 0..5_000 {
        fake.insert(tuple(number, UDP), silent(if number % 10 == 0 { 1_000 } else { 0 }, 1, 0));
    }
    let mut collector = Collector::default();
    let first = collector.step_of(&fake, NOW).unwrap();
    assert_eq!(first, Collected { looked: SLICE, removed: 205, finished: false });
    // One batch; each again; two deletes of at most 128.
    assert_eq!(fake.calls.replace(0), 1 + 205 + 2);
    assert_eq!(
        fake.collect(&mut collector),
        Collected { looked: 5_000 - SLICE, removed: 295, finished: true }
    );
    // Nothing to do: as few calls as slices.
    fake.calls.set(0);
    assert_eq!(
        fake.collect(&mut Collector::default()),
        Collected { looked: 4_500, removed: 0, finished: true }
    );
    assert_eq!(fake.calls.get(), 3);
}

#[test]
fn a_flow_that_goes_on_meanwhile_stays() {
    let fake = Fake { packet: Some(tuple(1, UDP)), ..Fake::default() };
    for number in 0..3 {
        fake.insert(tuple(number, UDP), silent(1_000, 1, 1));
    }
    assert_eq!(fake.collect(&mut Collector::default()).removed, 2);
    assert!(fake.has(&tuple(1, UDP)));
}

#[test]
fn an_entry_that_is_gone_already_stops_nothing() {
    for no_batches in [false, true] {
        let fake = Fake { evicted: Some(tuple(1, UDP)), no_batches, ..Fake::default() };
        for number in 0..4 {
            fake.insert(tuple(number, UDP), silent(1_000, 1, 1));
        }
        let Collected { removed, .. } = fake.collect(&mut Collector::default());
        assert!(removed == 3 && fake.left().is_empty(), "{removed} {no_batches}");
    }
}

#[test]
fn a_kernel_without_batches_is_asked_entry_by_entry() {
    let fake = Fake { no_batches: true, ..Fake::default() };
    for number in 0..5_000 {
        fake.insert(tuple(number, UDP), silent(if number % 10 == 0 { 1_000 } else { 0 }, 1, 0));
    }
    let collected = fake.collect(&mut Collector::default());
    assert_eq!((collected.removed, collected.finished), (500, true));
    assert_eq!(fake.left().len(), 4_500);
    assert!(fake.left().iter().all(|entry| entry.last_seen == NOW));
}

#[test]
fn a_large_bucket_gets_the_room_that_it_needs() {
    let fake = Fake { large_bucket: 3 * SLICE, ..Fake::default() };
    fake.insert(tuple(1, UDP), silent(1_000, 1, 1));
    assert_eq!(fake.collect(&mut Collector::default()).removed, 1);
    let fake = Fake { large_bucket: 20_000, ..Fake::default() };
    let error = Collector::default().step_of(&fake, NOW).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
}
