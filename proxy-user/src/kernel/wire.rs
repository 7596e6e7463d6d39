//! A BPF_F_MMAPABLE array (Linux 5.5, commit fc9702273e2e) mapped into this process: reading and
//! writing an entry are loads and stores, no system call. The only memory that Shunt shares with
//! the kernel's programs, so every access is an atomic 64-bit word.

#![allow(unsafe_code, reason = "memory is shared with the kernel")]

use super::shape::MapShape;
use super::sys::{Access, MapFd};
use aya_obj::generated::{BPF_F_MMAPABLE, bpf_map_type};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;
use std::io;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Bytes of a word: what the kernel aligns array entries to, and what one store writes.
const WORD: usize = size_of::<u64>();

/// An array of `T` in memory shared with the kernel. `T` is whole 64-bit words, so that entries
/// follow each other without a gap.
#[derive(Debug)]
pub struct MappedArray<T> {
    map: MapFd,
    base: NonNull<AtomicU64>,
    entries: usize,
    access: Access,
    entry: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone and is valid on every thread.
unsafe impl<T> Send for MappedArray<T> {}
// SAFETY: all access goes through atomics.
unsafe impl<T> Sync for MappedArray<T> {}

impl<T: FromBytes + IntoBytes + Immutable> MappedArray<T> {
    /// Number of words of an entry.
    const WORDS: usize = {
        assert!(size_of::<T>() > 0 && size_of::<T>().is_multiple_of(WORD));
        size_of::<T>() / WORD
    };

    /// Maps the whole of an array.
    ///
    /// # Errors
    /// Of mmap(2); `InvalidInput` where the map is no mappable array of `T`.
    pub fn new(map: MapFd, access: Access) -> io::Result<Self> {
        let MapShape { map_type, value_size, max_entries, flags, .. } = *map.shape();
        if map_type != bpf_map_type::BPF_MAP_TYPE_ARRAY as u32
            || flags & BPF_F_MMAPABLE == 0
            || value_size as usize != size_of::<T>()
            || max_entries == 0
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let entries = max_entries as usize;
        let protection = match access {
            Access::Read => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: with a null address the kernel chooses a range that nothing else uses.
        let base =
            unsafe { mmap(null_mut(), mapped_len::<T>(entries), protection, MapFlags::SHARED, &map, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { map, base, entries, access, entry: PhantomData })
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &MapFd {
        &self.map
    }

    /// Reads an entry, word by word; `None` outside the array.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<T> {
        let mut value = T::new_zeroed();
        let words = self.words(index)?;
        for (bytes, word) in value.as_mut_bytes().chunks_exact_mut(WORD).zip(words) {
            bytes.copy_from_slice(&word.load(Ordering::Acquire).to_ne_bytes());
        }
        Some(value)
    }

    /// Writes an entry, word by word in ascending order. False if there is no such entry or the
    /// array was mapped for reading only; nothing is written then.
    #[must_use]
    pub fn put(&mut self, index: u32, value: &T) -> bool {
        self.put_words(index, 0, value.as_bytes())
    }

    /// Writes words of an entry from word `first` on, each by one release store. False as for
    /// [`Self::put`], and where the words do not lie within the entry.
    #[must_use]
    pub fn put_words(&mut self, index: u32, first: usize, bytes: &[u8]) -> bool {
        let (values, rest) = bytes.as_chunks::<WORD>();
        let Some(words) = self.words(index).and_then(|words| words.get(first..)?.get(..values.len())) else {
            return false;
        };
        if self.access == Access::Read || !rest.is_empty() {
            return false;
        }
        for (word, bytes) in words.iter().zip(values) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Release);
        }
        true
    }

    fn words(&self, index: u32) -> Option<&[AtomicU64]> {
        // SAFETY: the mapping holds `entries * WORDS` words (`new` made it so), is aligned to a
        // page and lives as long as `self`. What other processes and the kernel's programs do
        // there meanwhile is what atomics are for.
        let words = unsafe { slice::from_raw_parts(self.base.as_ptr(), self.entries * Self::WORDS) };
        let first = index as usize * Self::WORDS;
        words.get(first..first + Self::WORDS)
    }
}

/// Bytes of the mapping: the kernel maps whole pages.
fn mapped_len<T>(entries: usize) -> usize {
    (entries * size_of::<T>()).next_multiple_of(page_size())
}

impl<T> Drop for MappedArray<T> {
    fn drop(&mut self) {
        // SAFETY: `new` mapped exactly this range, and no borrow of it outlives `self`.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), mapped_len::<T>(self.entries)) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entry = [u64; 3];

    const SHAPE: MapShape = MapShape {
        map_type: bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
        key_size: 4,
        value_size: size_of::<Entry>() as u32,
        // The last entry lies on the second page, and the page goes on behind it.
        max_entries: 200,
        flags: BPF_F_MMAPABLE,
    };

    fn array(access: Access) -> Option<MappedArray<Entry>> {
        if std::env::var_os("SHUNT_SKIP_LAB").is_some() {
            eprintln!("skipped: SHUNT_SKIP_LAB is set, and this test makes a map in the kernel");
            return None;
        }
        let map = MapFd::create(&SHAPE, None).expect("create");
        Some(MappedArray::new(map, access).expect("map"))
    }

    #[test]
    fn the_kernel_sees_what_is_stored() {
        let Some(mut array) = array(Access::ReadWrite) else { return };
        for index in [0, 170, 199] {
            let entry = [u64::from(index), 2, 3];
            assert!(array.put(index, &entry));
            assert!(array.put_words(index, 2, &7_u64.to_ne_bytes()));
            let wanted = [u64::from(index), 2, 7];
            assert_eq!(array.get(index), Some(wanted));
            assert_eq!(array.map().lookup(&index.to_ne_bytes()).unwrap(), wanted.as_bytes());
        }
        array.map().update(&5_u32.to_ne_bytes(), [9_u64, 8, 7].as_bytes()).unwrap();
        assert_eq!(array.get(5), Some([9, 8, 7]));
        assert_eq!(array.get(4), Some([0; 3]));
    }

    #[test]
    fn nothing_outside_of_an_entry_is_touched() {
        let Some(mut array) = array(Access::ReadWrite) else { return };
        assert!(array.put(0, &[1; 3]));
        for index in [200, 201, u32::MAX] {
            assert!(array.get(index).is_none() && !array.put(index, &[1; 3]), "{index}");
        }
        let words = [[4_u8; 8]; 4];
        assert!(!array.put_words(0, 0, words.as_flattened()), "one word too many");
        assert!(!array.put_words(0, 3, words[0].as_slice()), "behind the entry");
        assert!(!array.put_words(0, usize::MAX, &words[0]));
        assert!(!array.put_words(0, 0, &[4; 12]), "no whole words");
        assert_eq!((array.get(0), array.get(1)), (Some([1; 3]), Some([0; 3])));
    }

    #[test]
    fn a_reader_cannot_store() {
        let Some(mut array) = array(Access::Read) else { return };
        assert!(!array.put(0, &[1; 3]) && !array.put_words(0, 0, &[1; 8]));
        assert_eq!(array.get(0), Some([0; 3]));
    }

    #[test]
    fn only_a_mappable_array_of_that_entry_is_mapped() {
        let Some(_) = array(Access::Read) else { return };
        for shape in [
            MapShape { flags: 0, ..SHAPE },
            MapShape { value_size: 16, ..SHAPE },
            MapShape { map_type: bpf_map_type::BPF_MAP_TYPE_HASH as u32, flags: 0, ..SHAPE },
        ] {
            let map = MapFd::create(&shape, None).unwrap();
            let error = MappedArray::<Entry>::new(map, Access::ReadWrite).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{shape}");
        }
    }
}
