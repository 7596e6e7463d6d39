//! Entries of another version's maps in the words of ours.

use crate::kernel::layout::{MapConversion, Why};
use crate::kernel::object::MapName;
use crate::kernel::sys::MapFd;
use std::cell::Cell;

/// How the entries of one map become those of ours.
pub struct Turner {
    name: MapName,
    conversion: MapConversion,
    is_per_cpu: bool,
    /// Bytes of a key and of a value, of all CPUs in a per-CPU map.
    sizes: (usize, usize),
    /// Places of ours, if it is an array.
    places: Option<u32>,
    left_out: Cell<usize>,
}

impl Turner {
    /// From another map to ours.
    ///
    /// # Errors
    /// [`Why`] its entries cannot be turned into ours.
    pub fn new(name: MapName, from: &MapFd, to: &MapFd) -> Result<Self, Why> {
        let conversion = MapConversion::into_ours(from, name)?;
        let sizes = (to.shape().key_size as usize, to.value_len()? as usize);
        let places = to.shape().is_array().then_some(to.shape().max_entries);
        let is_per_cpu = to.shape().is_per_cpu();
        Ok(Self { name, conversion, is_per_cpu, sizes, places, left_out: Cell::new(0) })
    }

    /// One entry, if our layout can say what it says.
    pub fn turn(&self, key: &[u8], value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let turned = self.try_turn(key, value);
        self.left_out.set(self.left_out.get() + usize::from(turned.is_none()));
        turned
    }

    fn try_turn(&self, key: &[u8], value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        if let Some(places) = self.places
            && u32::from_ne_bytes(key.try_into().ok()?) >= places
        {
            return None;
        }
        let (mut to_key, mut to_value) = (vec![0; self.sizes.0], vec![0; self.sizes.1]);
        if self.is_per_cpu {
            to_key.copy_from_slice(key);
            self.conversion.value().convert_padded(value, &mut to_value).ok()?;
        } else {
            self.conversion.entry((key, value), &mut to_key, &mut to_value).ok()?;
        }
        Some((to_key, to_value))
    }
}

impl Drop for Turner {
    fn drop(&mut self) {
        let (map, entries) = (self.name, self.left_out.get());
        if entries > 0 {
            tracing::warn!(map, entries, "entries of another version's map have no place in this version's");
        }
    }
}
