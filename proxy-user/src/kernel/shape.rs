//! What a map is: compared before a pinned map is adopted, because aya 0.14 takes whatever lies at
//! the path (delete the comparison at aya >= 0.16, which makes it itself).

use aya_obj::generated::{bpf_map_info, bpf_map_type};
use std::fmt;

/// Type, sizes (bytes), number of entries and creation flags of a map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapShape {
    /// A `bpf_map_type`.
    pub map_type: u32,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value; of one CPU's value in a per-CPU map.
    pub value_size: u32,
    /// Number of entries it can hold.
    pub max_entries: u32,
    /// `BPF_F_*` it was created with.
    pub flags: u32,
}

impl MapShape {
    /// True if a map of this shape can stand in for one of `wanted`: the same but for the number
    /// of entries, which is the pin's to decide.
    #[must_use]
    pub fn fits(&self, wanted: &Self) -> bool {
        Self { max_entries: wanted.max_entries, ..*self } == *wanted && self.max_entries > 0
    }

    /// True for a hash map with one value under each key.
    #[must_use]
    pub fn is_hash(&self) -> bool {
        [bpf_map_type::BPF_MAP_TYPE_HASH, bpf_map_type::BPF_MAP_TYPE_LRU_HASH]
            .iter()
            .any(|kind| *kind as u32 == self.map_type)
    }

    /// True for an array, per CPU or not.
    #[must_use]
    pub fn is_array(&self) -> bool {
        [bpf_map_type::BPF_MAP_TYPE_ARRAY, bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY]
            .iter()
            .any(|kind| *kind as u32 == self.map_type)
    }

    /// True for a map that holds one value per CPU under each key.
    #[must_use]
    pub fn is_per_cpu(&self) -> bool {
        [
            bpf_map_type::BPF_MAP_TYPE_PERCPU_HASH,
            bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY,
            bpf_map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH,
            bpf_map_type::BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
        ]
        .iter()
        .any(|kind| *kind as u32 == self.map_type)
    }
}

impl From<&aya_obj::Map> for MapShape {
    fn from(map: &aya_obj::Map) -> Self {
        Self {
            map_type: map.map_type(),
            key_size: map.key_size(),
            value_size: map.value_size(),
            max_entries: map.max_entries(),
            flags: map.map_flags(),
        }
    }
}

impl From<&bpf_map_info> for MapShape {
    fn from(info: &bpf_map_info) -> Self {
        Self {
            map_type: info.type_,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: info.map_flags,
        }
    }
}

impl fmt::Display for MapShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match bpf_map_type::try_from(self.map_type) {
            Ok(kind) => {
                let name = format!("{kind:?}");
                f.write_str(&name.trim_start_matches("BPF_MAP_TYPE_").to_lowercase())?;
            }
            Err(_) => write!(f, "type {}", self.map_type)?,
        }
        let Self { key_size, value_size, max_entries, flags, .. } = self;
        write!(
            f,
            " of {max_entries} entries, key {key_size} bytes, value {value_size} bytes, flags {flags:#x}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: MapShape = MapShape {
        map_type: bpf_map_type::BPF_MAP_TYPE_HASH as u32,
        key_size: 8,
        value_size: 8,
        max_entries: 16_384,
        flags: 0,
    };

    #[test]
    fn only_the_number_of_entries_may_differ() {
        assert!(MapShape { max_entries: 7, ..WANTED }.fits(&WANTED));
        for other in [
            MapShape { map_type: bpf_map_type::BPF_MAP_TYPE_ARRAY as u32, ..WANTED },
            MapShape { key_size: 4, ..WANTED },
            MapShape { value_size: 4, ..WANTED },
            MapShape { flags: 1, ..WANTED },
            MapShape { max_entries: 0, ..WANTED },
        ] {
            assert!(!other.fits(&WANTED), "{other}");
        }
    }

    #[test]
    fn a_shape_reads_as_a_sentence() {
        assert_eq!(WANTED.to_string(), "hash of 16384 entries, key 8 bytes, value 8 bytes, flags 0x0");
        let unknown = MapShape { map_type: 999, ..WANTED };
        assert_eq!(unknown.to_string(), "type 999 of 16384 entries, key 8 bytes, value 8 bytes, flags 0x0");
    }
}
