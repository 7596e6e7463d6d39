//! How old changes are when the maps hold them, or a newer one of the same service.

use super::feed::number;
use anyhow::{Context as _, Result};
use shunt::{kernel::PinnedMaps, view::decode, writer::MapReader as _};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    num::NonZeroU64,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks at the maps: long enough to leave the processors to those that work, short beside what is
/// measured.
const PAUSE: Duration = Duration::from_micros(300);

/// Which services an update is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// Those that change all the time.
    Noisy,
    /// Those that change once a second.
    Quiet,
}

/// What was found of one sort.
#[derive(Clone, Default, Debug)]
pub struct Found {
    /// From when an update was to be sent to when the maps held it or a newer one, milliseconds.
    pub ages: Vec<f64>,
    /// Updates that were never in the maps, since a newer one was.
    pub superseded: usize,
}

/// Updates under way.
pub struct Ages {
    numbers: AtomicU32,
    /// By service.
    services: BTreeMap<u32, Mutex<Service>>,
    closed: AtomicBool,
}

struct Service {
    sort: Sort,
    /// Number and moment of those that the maps do not hold yet.
    open: VecDeque<(u32, Instant)>,
    found: Found,
}

impl Ages {
    /// Nothing is under way at these services.
    #[must_use]
    pub fn new(noisy: impl Iterator<Item = u32>, quiet: impl Iterator<Item = u32>) -> Self {
        let service = |sort| Mutex::new(Service { sort, open: VecDeque::new(), found: Found::default() });
        let noisy = noisy.map(|number| (number, service(Sort::Noisy)));
        let services = noisy.chain(quiet.map(|number| (number, service(Sort::Quiet)))).collect();
        Self { numbers: AtomicU32::new(0), services, closed: AtomicBool::new(false) }
    }

    /// An update is about to be sent, and was to be at `due`; gives back its number.
    pub fn sent(&self, service: u32, due: Instant, sort: Sort) -> u32 {
        let number = self.numbers.fetch_add(1, Relaxed);
        if let Some(service) = self.services.get(&service) {
            let mut service = lock(service);
            debug_assert_eq!(service.sort, sort);
            service.open.push_back((number, due));
        }
        number
    }

    /// Updates that the maps do not hold yet.
    #[must_use]
    pub fn open(&self) -> usize {
        self.services.values().map(|service| lock(service).open.len()).sum()
    }

    /// Nothing more is looked for.
    pub fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// What was found of noisy and of quiet services since the last call.
    #[must_use]
    pub fn take(&self) -> [Found; 2] {
        let mut found = [Found::default(), Found::default()];
        for service in self.services.values() {
            let mut service = lock(service);
            let Found { ages, superseded } = std::mem::take(&mut service.found);
            let sum = &mut found[service.sort as usize];
            sum.ages.extend(ages);
            sum.superseded += superseded;
        }
        found
    }

    /// Looks at the maps until it is closed.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn follow(&self, maps: &PinnedMaps) -> Result<()> {
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).context("PR_SET_TIMERSLACK")?;
        let mut indices = HashMap::new();
        for port in decode(maps)? {
            if let Some(id) = port.id {
                indices.insert(id.service.name.to_string(), port.index);
            }
        }
        // Service port, and where the replaced pod was seen last.
        let mut places = BTreeMap::new();
        for service in self.services.keys() {
            let index = indices.get(&format!("service-{service}")).context("a service is not programmed")?;
            places.insert(*service, (*index, None));
        }
        while !self.closed.load(Relaxed) {
            for ((number, (index, slot)), service) in places.iter_mut().zip(self.services.values()) {
                debug_assert!(self.services.contains_key(number));
                if lock(service).open.is_empty() {
                    continue;
                }
                if let Some(newest) = newest(maps, *index, slot) {
                    lock(service).holds(newest, Instant::now());
                }
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

impl Service {
    /// The maps hold the update of this number.
    fn holds(&mut self, newest: u32, now: Instant) {
        while let Some((number, due)) = self.open.front().copied()
            && number <= newest
        {
            self.open.pop_front();
            self.found.ages.push(now.saturating_duration_since(due).as_secs_f64() * 1e3);
            self.found.superseded += usize::from(number < newest);
        }
    }
}

/// The newest update that a service's set has. `slot` is where it was seen before.
fn newest(maps: &PinnedMaps, service: u32, slot: &mut Option<u32>) -> Option<u32> {
    let at = |slot: u32| number(maps.backend(maps.slot(slot)?.index())?.address.to_ip());
    if let Some(found) = slot.and_then(at) {
        return Some(found);
    }
    let set = maps.service(service)?.cluster;
    let found = (set.base()..set.base() + set.count()).find_map(|slot| Some((slot, at(slot)?)))?;
    *slot = Some(found.0);
    Some(found.1)
}

fn lock(service: &Mutex<Service>) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_update_answers_for_those_before_it() {
        let (ages, start) = (Ages::new([7].into_iter(), [9].into_iter()), Instant::now());
        let numbers: Vec<_> = (0..3).map(|_| ages.sent(7, start, Sort::Noisy)).collect();
        ages.sent(9, start, Sort::Quiet);
        lock(&ages.services[&7]).holds(numbers[1], start + Duration::from_millis(5));
        assert_eq!(ages.open(), 2);
        let [noisy, quiet] = ages.take();
        assert_eq!((noisy.ages, noisy.superseded, quiet.ages.len()), (vec![5.0, 5.0], 1, 0));
    }
}
