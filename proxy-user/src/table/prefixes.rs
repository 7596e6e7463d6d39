//! The longest-prefix maps: who may use a load-balancer address, and what an address belongs to. What is
//! wanted and what the kernel holds, by key; the plan is the difference.

use super::spec::Full;
use crate::writer::PrefixKey;
use ahash::AHashMap;

/// Wanted and installed prefixes of both maps.
#[derive(Debug)]
pub(super) struct Prefixes {
    by_key: AHashMap<PrefixKey, Prefix>,
    /// Keys whose wanted and installed value may differ.
    touched: Vec<PrefixKey>,
    /// Keys of each map, wanted or installed.
    occupied: [u32; 2],
    /// Of each map.
    capacity: u32,
    /// How many of the keys name a service port.
    of_service: AHashMap<u32, u32>,
}

#[derive(Debug, Default)]
struct Prefix {
    wanted: Option<u32>,
    installed: Option<u32>,
    touched: bool,
}

/// The place of a key's map in `occupied`, and its name.
const fn map_of(key: &PrefixKey) -> (usize, &'static str) {
    match key {
        PrefixKey::Source(_) => (0, "SOURCE_RANGES"),
        PrefixKey::Network(_) => (1, "NETWORKS"),
    }
}

impl Prefixes {
    /// None, over maps of `capacity` entries.
    pub fn new(capacity: u32) -> Self {
        Self {
            by_key: AHashMap::new(),
            touched: Vec::new(),
            occupied: [0; 2],
            capacity,
            of_service: AHashMap::new(),
        }
    }

    /// Room for more.
    pub fn grow(&mut self, capacity: u32) {
        self.capacity = self.capacity.max(capacity);
    }

    /// Whether the maps have room for those of `keys` that are not yet in them.
    pub fn room_for(&self, keys: impl Iterator<Item = PrefixKey>) -> Result<(), Full> {
        let mut more = [0; 2];
        for key in keys.filter(|key| !self.by_key.contains_key(key)) {
            let (map, name) = map_of(&key);
            more[map] += 1;
            if self.occupied[map] + more[map] > self.capacity {
                return Err(Full { map: name, capacity: self.capacity });
            }
        }
        Ok(())
    }

    /// Whether a prefix is in its map, or will be.
    pub fn holds(&self, key: &PrefixKey) -> bool {
        self.by_key.contains_key(key)
    }

    /// Wants a prefix with this value, or none with `None`.
    pub fn want(&mut self, key: PrefixKey, value: Option<u32>) {
        if value.is_none() && !self.by_key.contains_key(&key) {
            return;
        }
        let prefix = self.entry(key);
        if prefix.wanted != value {
            prefix.wanted = value;
            self.touch(key);
        }
    }

    /// Records what a former agent left in the kernel.
    pub fn adopt(&mut self, key: PrefixKey, value: u32) {
        self.entry(key).installed = Some(value);
    }

    /// Marks every prefix that the kernel holds and nobody wants, so that it is removed.
    pub fn touch_unwanted(&mut self) {
        let unwanted: Vec<_> =
            self.by_key.iter().filter(|(_, prefix)| prefix.wanted.is_none()).map(|(key, _)| *key).collect();
        unwanted.into_iter().for_each(|key| self.touch(key));
    }

    /// Turns what was touched into deletes and puts.
    pub fn settle(&mut self, deletes: &mut Vec<PrefixKey>, puts: &mut Vec<(PrefixKey, u32)>) {
        for key in std::mem::take(&mut self.touched) {
            let Some(prefix) = self.by_key.get_mut(&key) else { continue };
            prefix.touched = false;
            match (prefix.wanted, prefix.installed) {
                (Some(wanted), installed) if installed != Some(wanted) => puts.push((key, wanted)),
                (None, Some(_)) => deletes.push(key),
                (None, None) => self.forget(&key),
                (Some(_), _) => {}
            }
        }
    }

    /// Notes that the kernel has removed a prefix.
    pub fn deleted(&mut self, key: &PrefixKey) {
        if let Some(prefix) = self.by_key.get_mut(key) {
            prefix.installed = None;
            if prefix.wanted.is_none() && !prefix.touched {
                self.forget(key);
            }
        }
    }

    /// Notes that the kernel holds a prefix with this value.
    pub fn put(&mut self, key: &PrefixKey, value: u32) {
        if let Some(prefix) = self.by_key.get_mut(key) {
            prefix.installed = Some(value);
        }
    }

    /// Notes that the kernel did not carry out an operation on a prefix: it is planned again.
    pub fn refused(&mut self, key: PrefixKey) {
        self.touch(key);
    }

    /// Whether a prefix names `service`.
    pub fn name(&self, service: u32) -> bool {
        self.of_service.contains_key(&service)
    }

    /// Whether something waits to be settled.
    pub const fn is_unsettled(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Keys of SOURCE_RANGES and of NETWORKS, wanted or installed.
    pub const fn occupied(&self) -> [u32; 2] {
        self.occupied
    }

    fn entry(&mut self, key: PrefixKey) -> &mut Prefix {
        let (occupied, of_service) = (&mut self.occupied, &mut self.of_service);
        self.by_key.entry(key).or_insert_with(|| {
            occupied[map_of(&key).0] += 1;
            if let PrefixKey::Source(source) = key {
                *of_service.entry(source.service).or_default() += 1;
            }
            Prefix::default()
        })
    }

    fn touch(&mut self, key: PrefixKey) {
        if let Some(prefix) = self.by_key.get_mut(&key)
            && !std::mem::replace(&mut prefix.touched, true)
        {
            self.touched.push(key);
        }
    }

    fn forget(&mut self, key: &PrefixKey) {
        if self.by_key.remove(key).is_none() {
            return;
        }
        self.occupied[map_of(key).0] -= 1;
        if let PrefixKey::Source(source) = key
            && let Some(count) = self.of_service.get_mut(&source.service)
        {
            *count -= 1;
            if *count == 0 {
                self.of_service.remove(&source.service);
            }
        }
    }
}
