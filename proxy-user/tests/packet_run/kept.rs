//! A map of the kernel, and what is known to be in it, so that only what differs is written.

use shunt::kernel::sys::{Access, MapFd};
use std::{collections::HashMap, path::Path};
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub type Content = HashMap<Vec<u8>, Vec<u8>>;

/// More entries than any test writes.
const MOST: usize = 1024;

pub struct Kept {
    map: MapFd,
    content: Content,
}

/// An entry as bytes.
pub fn entry(key: &(impl IntoBytes + Immutable), value: &(impl IntoBytes + Immutable)) -> (Vec<u8>, Vec<u8>) {
    (key.as_bytes().to_vec(), value.as_bytes().to_vec())
}

impl Kept {
    pub fn open(maps: &Path, name: &str) -> Self {
        Self { map: MapFd::open(&maps.join(name), Access::ReadWrite).unwrap(), content: Content::new() }
    }

    /// Makes an array hold these elements, and zeros beyond them.
    pub fn set(&mut self, mut wanted: Content) {
        for (key, value) in &self.content {
            wanted.entry(key.clone()).or_insert_with(|| vec![0; value.len()]);
        }
        self.write(wanted);
    }

    fn write(&mut self, wanted: Content) {
        for (key, value) in wanted {
            if self.content.get(&key) != Some(&value) {
                self.map.update(&key, &value).unwrap();
                self.content.insert(key, value);
            }
        }
    }

    /// Makes a map hold these entries and no other.
    pub fn hold(&mut self, wanted: Content) {
        let map = &self.map;
        self.content.retain(|key, _| {
            let stays = wanted.contains_key(key);
            if !stays {
                map.delete(key).unwrap();
            }
            stays
        });
        self.write(wanted);
    }

    /// What it holds, now that a program has written to it.
    pub fn read<K: FromBytes, V: FromBytes>(&mut self) -> Vec<(K, V)> {
        let (key_len, value_len) = (size_of::<K>(), size_of::<V>());
        let (mut keys, mut values) = (vec![0; MOST * key_len], vec![0; MOST * value_len]);
        let (count, more) = self.map.lookup_batch(&mut 0, true, &mut keys, &mut values).unwrap();
        assert!(!more || count < MOST, "it holds more than a test may write");
        let keys = keys.chunks(key_len).take(count);
        self.content = keys.zip(values.chunks(value_len)).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
        let read =
            |(k, v): (&Vec<u8>, &Vec<u8>)| (K::read_from_bytes(k).unwrap(), V::read_from_bytes(v).unwrap());
        self.content.iter().map(read).collect()
    }
}
