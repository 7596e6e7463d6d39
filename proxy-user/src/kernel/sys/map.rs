//! Maps: open, create, read and write, singly and by batches.

use super::call::{bpf, bpf_open, empty, number, object_get, object_info, object_pin};
use crate::kernel::shape::MapShape;
use aya_obj::generated::{BPF_EXIST, BPF_F_RDONLY, BPF_NOEXIST, bpf_cmd, bpf_map_info};
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What an open map may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Look-ups only; the kernel refuses every update through this descriptor.
    Read,
    /// Look-ups and updates.
    ReadWrite,
}

/// An open map and its shape as the kernel reports it. Every key and value buffer is checked
/// against the shape before the kernel sees its address: a wrong length is `InvalidInput`.
#[derive(Debug)]
pub struct MapFd {
    fd: OwnedFd,
    id: u32,
    shape: MapShape,
}

/// A batch call that stopped early: how many leading entries it carried out, and why it stopped.
pub type Partial = (usize, io::Error);

impl MapFd {
    /// Opens a pinned map.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET (`NotFound`: no such pin) or BPF_OBJ_GET_INFO_BY_FD.
    pub fn open(path: &Path, access: Access) -> io::Result<Self> {
        let flags = if access == Access::Read { BPF_F_RDONLY } else { 0 };
        Self::from_fd(object_get(path, flags)?)
    }

    /// Creates a map that is not pinned. `inner` is the template of a map of maps.
    ///
    /// # Errors
    /// Of BPF_MAP_CREATE (`PermissionDenied`: no CAP_BPF) or BPF_OBJ_GET_INFO_BY_FD.
    pub fn create(shape: &MapShape, inner: Option<&Self>) -> io::Result<Self> {
        let mut attr = empty();
        attr.__bindgen_anon_1.map_type = shape.map_type;
        attr.__bindgen_anon_1.key_size = shape.key_size;
        attr.__bindgen_anon_1.value_size = shape.value_size;
        attr.__bindgen_anon_1.max_entries = shape.max_entries;
        attr.__bindgen_anon_1.map_flags = shape.flags;
        attr.__bindgen_anon_1.inner_map_fd = inner.map_or(0, |map| number(map.as_fd()));
        // SAFETY: the attributes of this command hold no address.
        let fd = unsafe { bpf_open(bpf_cmd::BPF_MAP_CREATE, &mut attr) }?;
        Self::from_fd(fd)
    }

    /// Takes a descriptor, which must be a map's.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET_INFO_BY_FD.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_map_info = unsafe { zeroed() };
        // SAFETY: whatever object `fd` is, every bit pattern is a valid `bpf_map_info`.
        unsafe { object_info(fd.as_fd(), &mut info) }?;
        Ok(Self { shape: MapShape::from(&info), id: info.id, fd })
    }

    /// The number that the kernel has given to this map and to no other.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The map's shape, `max_entries` included.
    #[must_use]
    pub fn shape(&self) -> &MapShape {
        &self.shape
    }

    /// Pins it: it then outlives this process.
    ///
    /// # Errors
    /// Of BPF_OBJ_PIN (`AlreadyExists`: there is such a pin).
    pub fn pin(&self, path: &Path) -> io::Result<()> {
        object_pin(path, self.fd.as_fd())
    }

    /// Bytes of kernel memory that the map takes, from its fdinfo (exact since Linux 6.4).
    ///
    /// # Errors
    /// Where fdinfo cannot be read.
    pub fn memory(&self) -> io::Result<u64> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.fd.as_raw_fd()))?;
        info.lines()
            .find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no memlock in fdinfo"))
    }

    /// Adds or replaces one entry.
    ///
    /// # Errors
    /// Of BPF_MAP_UPDATE_ELEM; E2BIG: the map is full.
    pub fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.store(key, value, 0)
    }

    /// Adds one entry; false if there is one already.
    ///
    /// # Errors
    /// Of BPF_MAP_UPDATE_ELEM.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> io::Result<bool> {
        match self.store(key, value, BPF_NOEXIST.into()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            stored => stored.map(|()| true),
        }
    }

    /// Replaces one entry; false if there is none.
    ///
    /// # Errors
    /// Of BPF_MAP_UPDATE_ELEM.
    pub fn replace(&self, key: &[u8], value: &[u8]) -> io::Result<bool> {
        match self.store(key, value, BPF_EXIST.into()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            stored => stored.map(|()| true),
        }
    }

    fn store(&self, key: &[u8], value: &[u8], flags: u64) -> io::Result<()> {
        self.check(key, 1, self.shape.key_size)?;
        self.check(value, 1, self.value_len()?)?;
        // SAFETY: both buffers were just checked to have the length that the kernel reads.
        unsafe {
            self.element(bpf_cmd::BPF_MAP_UPDATE_ELEM, key.as_ptr() as u64, value.as_ptr() as u64, flags)
        }
    }

    /// Removes one entry.
    ///
    /// # Errors
    /// Of BPF_MAP_DELETE_ELEM; `NotFound`: no such key.
    pub fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.check(key, 1, self.shape.key_size)?;
        // SAFETY: the key was just checked; this command reads no value.
        unsafe { self.element(bpf_cmd::BPF_MAP_DELETE_ELEM, key.as_ptr() as u64, 0, 0) }
    }

    /// Reads one entry; of a per-CPU map the values of all possible CPUs, each padded to 8 bytes.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_ELEM; `NotFound`: no such key.
    pub fn lookup(&self, key: &[u8]) -> io::Result<Vec<u8>> {
        self.check(key, 1, self.shape.key_size)?;
        let mut value = vec![0; self.value_len()? as usize];
        let (key, to) = (key.as_ptr() as u64, value.as_mut_ptr() as u64);
        // SAFETY: the key was just checked; `value` has the length that the kernel writes.
        unsafe { self.element(bpf_cmd::BPF_MAP_LOOKUP_ELEM, key, to, 0) }?;
        Ok(value)
    }

    /// The key after `key`, or the first one; `None` at the end.
    ///
    /// # Errors
    /// Of BPF_MAP_GET_NEXT_KEY.
    pub fn next_key(&self, key: Option<&[u8]>) -> io::Result<Option<Vec<u8>>> {
        if let Some(key) = key {
            self.check(key, 1, self.shape.key_size)?;
        }
        let mut next = vec![0; self.shape.key_size as usize];
        let (from, to) = (key.map_or(0, |key| key.as_ptr() as u64), next.as_mut_ptr() as u64);
        // SAFETY: both keys have the length that the kernel reads and writes; no key asks for the first.
        match unsafe { self.element(bpf_cmd::BPF_MAP_GET_NEXT_KEY, from, to, 0) } {
            Ok(()) => Ok(Some(next)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds or replaces entries by one call (Linux 5.6); keys and values lie side by side.
    ///
    /// # Errors
    /// Of BPF_MAP_UPDATE_BATCH, with the number of leading entries that were written.
    pub fn update_batch(&self, keys: &[u8], values: &[u8]) -> Result<(), Partial> {
        let count = self.count(keys).map_err(|error| (0, error))?;
        let value_len = self.value_len().map_err(|error| (0, error))?;
        self.check(values, count, value_len).map_err(|error| (0, error))?;
        // SAFETY: both buffers were just checked to hold `count` entries.
        unsafe { self.batch(bpf_cmd::BPF_MAP_UPDATE_BATCH, keys, values, count) }
    }

    /// Removes entries by one call (Linux 5.6). It stops at a key that is absent (`NotFound`).
    ///
    /// # Errors
    /// Of BPF_MAP_DELETE_BATCH, with the number of leading entries that were removed.
    pub fn delete_batch(&self, keys: &[u8]) -> Result<(), Partial> {
        let count = self.count(keys).map_err(|error| (0, error))?;
        // SAFETY: `keys` was just checked to hold `count` keys; this command reads no value.
        unsafe { self.batch(bpf_cmd::BPF_MAP_DELETE_BATCH, keys, &[], count) }
    }

    /// Reads the next entries of a hash map or array by one call (Linux 5.6) into `keys` and `values`,
    /// which hold the same number of entries. Returns how many there were, and whether more may follow.
    /// `cursor` starts as zeros; `first` says that it does.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH; ENOSPC: one bucket alone holds more entries than the buffers. EINVAL and
    /// ENOTSUPP: the kernel has no batches, or none for this type.
    pub fn lookup_batch(
        &self,
        cursor: &mut u64,
        first: bool,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> io::Result<(usize, bool)> {
        // The cursor of a hash map is a bucket number, that of an array an index: 4 bytes. Of other types it is a key.
        if !self.shape.is_hash() && !self.shape.is_array() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let count = self.count(keys)?;
        self.check(values, count, self.value_len()?)?;
        let previous = *cursor;
        let mut attr = empty();
        attr.batch.in_batch = if first { 0 } else { &raw const previous as u64 };
        attr.batch.out_batch = &raw mut *cursor as u64;
        attr.batch.keys = keys.as_mut_ptr() as u64;
        attr.batch.values = values.as_mut_ptr() as u64;
        attr.batch.count = count as u32;
        attr.batch.map_fd = number(self.as_fd());
        // SAFETY: the buffers hold `count` entries each; both cursors hold the 4 bytes that it reads and writes.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
        // SAFETY: any bit pattern is a valid number.
        let read = unsafe { attr.batch.count } as usize;
        match result {
            Ok(_) => Ok((read, true)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((read, false)),
            Err(error) => Err(error),
        }
    }

    /// # Safety
    /// `key` and `value` must be addresses of buffers as long as `command` reads or writes.
    unsafe fn element(&self, command: bpf_cmd, key: u64, value: u64, flags: u64) -> io::Result<()> {
        let mut attr = empty();
        attr.__bindgen_anon_2.map_fd = number(self.as_fd());
        attr.__bindgen_anon_2.key = key;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = value;
        attr.__bindgen_anon_2.flags = flags;
        // SAFETY: promised by the caller.
        unsafe { bpf(command, &mut attr) }.map(drop)
    }

    /// # Safety
    /// `keys` and `values` must hold `count` entries each, as far as `command` reads them.
    unsafe fn batch(
        &self,
        command: bpf_cmd,
        keys: &[u8],
        values: &[u8],
        count: usize,
    ) -> Result<(), Partial> {
        let mut attr = empty();
        attr.batch.keys = keys.as_ptr() as u64;
        attr.batch.values = values.as_ptr() as u64;
        attr.batch.count = count as u32;
        attr.batch.map_fd = number(self.as_fd());
        // SAFETY: promised by the caller.
        unsafe { bpf(command, &mut attr) }.map(drop).map_err(|error| {
            // SAFETY: any bit pattern is a valid number.
            let done = unsafe { attr.batch.count } as usize;
            // Refused before the first entry, older kernels leave the requested number there.
            (if done < count { done } else { 0 }, error)
        })
    }

    /// Bytes that one value takes in a call: of a per-CPU map the values of all possible CPUs, each padded to 8 bytes.
    ///
    /// # Errors
    /// Where the number of CPUs cannot be read.
    pub fn value_len(&self) -> io::Result<u32> {
        if !self.shape.is_per_cpu() {
            return Ok(self.shape.value_size);
        }
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
        Ok(self.shape.value_size.next_multiple_of(8) * cpus as u32)
    }

    /// Number of keys in a buffer.
    fn count(&self, keys: &[u8]) -> io::Result<usize> {
        let count = keys.len() / self.shape.key_size as usize;
        self.check(keys, count, self.shape.key_size)?;
        Ok(count)
    }

    fn check(&self, buffer: &[u8], count: usize, size: u32) -> io::Result<()> {
        if count <= u32::MAX as usize && Some(buffer.len()) == count.checked_mul(size as usize) {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }
}

impl AsFd for MapFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Puts `inner` into a one-entry map of maps. Since Linux 4.20 (commit 1ae80cf31938) the kernel
/// then waits until every program that might still see the old one has ended.
///
/// # Errors
/// Of BPF_MAP_UPDATE_ELEM.
pub fn swap_inner(outer: &MapFd, inner: &MapFd) -> io::Result<()> {
    outer.update(&0_u32.to_ne_bytes(), &number(inner.as_fd()).to_ne_bytes())
}

/// Puts a program into a map of programs.
///
/// # Errors
/// Of BPF_MAP_UPDATE_ELEM; EINVAL: it is of another kind than those that may stand there.
pub fn put_program(programs: &MapFd, index: u32, program: BorrowedFd<'_>) -> io::Result<()> {
    programs.update(&index.to_ne_bytes(), &number(program).to_ne_bytes())
}
