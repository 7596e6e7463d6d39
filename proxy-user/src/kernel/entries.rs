//! Reading a whole hash map by batches, or key by key where the kernel refuses batches; a trie, which is
//! small, key by key.

use super::sys::MapFd;
use std::io;
use zerocopy::FromBytes;

/// Entries per BPF_MAP_LOOKUP_BATCH call.
const BATCH: usize = 4096;

/// Every entry of a hash map or trie, in no particular order. What is added or removed meanwhile may or may
/// not be among them.
///
/// # Errors
/// Of the BPF_MAP_LOOKUP_BATCH or BPF_MAP_GET_NEXT_KEY call that failed; `InvalidInput` where keys
/// or values have another size.
pub fn read_all<K: FromBytes, V: FromBytes>(map: &MapFd) -> io::Result<Vec<(K, V)>> {
    let shape = *map.shape();
    if shape.key_size as usize != size_of::<K>() || shape.value_size as usize != size_of::<V>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if !shape.is_hash() {
        return read_keys(map);
    }
    match read_batches(map) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => read_keys(map),
        result => result,
    }
}

/// Keys and values of a map, side by side.
#[derive(Debug)]
pub struct Entries {
    key: usize,
    value: usize,
    keys: Vec<u8>,
    values: Vec<u8>,
}

impl Entries {
    /// None yet, of the sizes that `map` has.
    ///
    /// # Errors
    /// As [`MapFd::value_len`].
    pub fn new(map: &MapFd) -> io::Result<Self> {
        let (key, value) = (map.shape().key_size as usize, map.value_len()? as usize);
        Ok(Self { key, value, keys: Vec::new(), values: Vec::new() })
    }

    /// Adds one, which must have these sizes.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        debug_assert_eq!((key.len(), value.len()), (self.key, self.value));
        self.keys.extend_from_slice(key);
        self.values.extend_from_slice(value);
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.keys.len() / self.key
    }

    /// One by one.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.keys.chunks_exact(self.key).zip(self.values.chunks_exact(self.value))
    }

    /// Keys and values of so many at a time.
    pub fn chunks(&self, count: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.keys.chunks(count * self.key).zip(self.values.chunks(count * self.value))
    }
}

/// Every entry of a map of any type but rings and programs, as bytes; of a per-CPU map the values of all CPUs. As to
/// what is added or removed meanwhile, see [`read_all`].
///
/// # Errors
/// As there.
pub fn read_entries(map: &MapFd) -> io::Result<Entries> {
    let mut entries = Entries::new(map)?;
    if map.shape().is_hash() || map.shape().is_array() {
        let read = batches(map, |keys, values| {
            entries.keys.extend_from_slice(keys);
            entries.values.extend_from_slice(values);
        });
        match read {
            // ENOTSUPP of linux/errno.h: no batches of this type yet.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | 524)) => {
                entries = Entries::new(map)?;
            }
            read => return read.map(|()| entries),
        }
    }
    each_key(map, |key, value| entries.push(key, value))?;
    Ok(entries)
}

/// How many entries a hash map has, about, if others change it meanwhile.
///
/// # Errors
/// As for [`read_all`].
pub fn count(map: &MapFd) -> io::Result<u32> {
    let mut count = 0_u32;
    match batches(map, |keys, _| count += (keys.len() / map.shape().key_size as usize) as u32) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            count = 0;
            let mut next = map.next_key(None)?;
            while let Some(key) = next.filter(|_| count < map.shape().max_entries) {
                count += 1;
                next = map.next_key(Some(&key))?;
            }
        }
        read => read?,
    }
    Ok(count)
}

fn read_batches<K: FromBytes, V: FromBytes>(map: &MapFd) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    batches(map, |keys, values| {
        let pairs = keys.chunks_exact(size_of::<K>()).zip(values.chunks_exact(size_of::<V>()));
        entries.extend(pairs.filter_map(|(key, value)| {
            Some((K::read_from_bytes(key).ok()?, V::read_from_bytes(value).ok()?))
        }));
    })?;
    Ok(entries)
}

/// Reads the whole map; `each` gets the keys and values of some entries, side by side.
fn batches(map: &MapFd, mut each: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
    let (key, value) = (map.shape().key_size as usize, map.value_len()? as usize);
    let mut room = BATCH.min(map.shape().max_entries as usize);
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let (mut cursor, mut first) = (0, true);
    loop {
        keys.resize(room * key, 0);
        values.resize(room * value, 0);
        match map.lookup_batch(&mut cursor, first, &mut keys, &mut values) {
            Ok((count, more)) => {
                let (keys, values) = (keys.get(..count * key), values.get(..count * value));
                each(keys.unwrap_or_default(), values.unwrap_or_default());
                if !more {
                    return Ok(());
                }
                first = false;
            }
            // One bucket holds more than there is room for; it was not read.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && room < u32::MAX as usize / 2 => {
                room *= 2;
            }
            Err(error) => return Err(error),
        }
    }
}

fn read_keys<K: FromBytes, V: FromBytes>(map: &MapFd) -> io::Result<Vec<(K, V)>> {
    let mut entries = Vec::new();
    each_key(map, |key, value| {
        if let (Ok(key), Ok(value)) = (K::read_from_bytes(key), V::read_from_bytes(value)) {
            entries.push((key, value));
        }
    })?;
    Ok(entries)
}

/// Reads the whole map, key by key.
fn each_key(map: &MapFd, mut each: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
    let mut next = map.next_key(None)?;
    // A key that vanishes makes the kernel start again at the first one: the bound ends that.
    for _ in 0..2 * u64::from(map.shape().max_entries) {
        let Some(key) = next else { break };
        match map.lookup(&key) {
            Ok(value) => each(&key, &value),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        next = map.next_key(Some(&key))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::shape::MapShape;
    use super::*;
    use aya_obj::generated::bpf_map_type;

    #[test]
    fn batches_and_single_keys_read_the_same() {
        if std::env::var_os("SHUNT_SKIP_LAB").is_some() {
            eprintln!("skipped: SHUNT_SKIP_LAB is set, and this test makes a map in the kernel");
            return;
        }
        let shape = MapShape {
            map_type: bpf_map_type::BPF_MAP_TYPE_HASH as u32,
            key_size: 4,
            value_size: 8,
            max_entries: 10_000,
            flags: 0,
        };
        let map = MapFd::create(&shape, None).unwrap();
        assert_eq!(read_all::<u32, u64>(&map).unwrap(), []);
        let wanted: Vec<(u32, u64)> = (0..9_000).map(|key| (key, u64::from(key) * 3)).collect();
        for (key, value) in &wanted {
            map.update(&key.to_ne_bytes(), &value.to_ne_bytes()).unwrap();
        }
        assert_eq!(count(&map).unwrap(), 9_000);
        for mut read in [read_batches::<u32, u64>(&map).unwrap(), read_keys(&map).unwrap()] {
            read.sort_unstable();
            assert_eq!(read, wanted);
        }
        assert_eq!(read_all::<u64, u64>(&map).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
