//! bpf(2) calls that aya 0.14 lacks, as safe functions over checked file descriptors.
//!
//! Every call made here is counted ([`calls`]), so that tests can assert what a change costs.

#![allow(unsafe_code, reason = "the kernel is given addresses")]

use super::shape::MapShape;
use aya_obj::generated::{
    BPF_ALU64, BPF_CALL, BPF_EXIT, BPF_F_QUERY_EFFECTIVE, BPF_F_RDONLY, BPF_JMP, BPF_K, BPF_MOV,
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_func_id, bpf_link_info, bpf_link_type, bpf_map_info,
    bpf_prog_type,
};
use std::ffi::CString;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

static CALLS: AtomicU64 = AtomicU64::new(0);

/// Number of bpf(2) calls that this process has made through this module.
#[must_use]
pub fn calls() -> u64 {
    CALLS.load(Ordering::Relaxed)
}

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

    fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_map_info = unsafe { zeroed() };
        // SAFETY: whatever object `fd` is, every bit pattern is a valid `bpf_map_info`.
        unsafe { object_info(fd.as_fd(), &mut info) }?;
        Ok(Self { shape: MapShape::from(&info), fd })
    }

    /// The map's shape, `max_entries` included.
    #[must_use]
    pub fn shape(&self) -> &MapShape {
        &self.shape
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
        self.check(key, 1, self.shape.key_size)?;
        self.check(value, 1, self.value_len()?)?;
        // SAFETY: both buffers were just checked to have the length that the kernel reads.
        unsafe { self.element(bpf_cmd::BPF_MAP_UPDATE_ELEM, key.as_ptr() as u64, value.as_ptr() as u64) }
    }

    /// Removes one entry.
    ///
    /// # Errors
    /// Of BPF_MAP_DELETE_ELEM; `NotFound`: no such key.
    pub fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.check(key, 1, self.shape.key_size)?;
        // SAFETY: the key was just checked; this command reads no value.
        unsafe { self.element(bpf_cmd::BPF_MAP_DELETE_ELEM, key.as_ptr() as u64, 0) }
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
        unsafe { self.element(bpf_cmd::BPF_MAP_LOOKUP_ELEM, key, to) }?;
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
        match unsafe { self.element(bpf_cmd::BPF_MAP_GET_NEXT_KEY, from, to) } {
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

    /// Reads the next entries of a hash map by one call (Linux 5.6) into `keys` and `values`, which
    /// hold the same number of entries. Returns how many there were, and whether more may follow.
    /// `cursor` starts as zeros; `first` says that it does.
    ///
    /// # Errors
    /// Of BPF_MAP_LOOKUP_BATCH; ENOSPC: one bucket alone holds more entries than the buffers.
    pub fn lookup_batch(
        &self,
        cursor: &mut u64,
        first: bool,
        keys: &mut [u8],
        values: &mut [u8],
    ) -> io::Result<(usize, bool)> {
        // The cursor of a hash map is a bucket number of 4 bytes; of other types it is a key.
        if !self.shape.is_hash() {
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
        // SAFETY: the buffers hold `count` entries each; both cursors hold the 4 bytes of a bucket.
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
    unsafe fn element(&self, command: bpf_cmd, key: u64, value: u64) -> io::Result<()> {
        let mut attr = empty();
        attr.__bindgen_anon_2.map_fd = number(self.as_fd());
        attr.__bindgen_anon_2.key = key;
        attr.__bindgen_anon_2.__bindgen_anon_1.value = value;
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

    /// Bytes that one value takes in a call.
    fn value_len(&self) -> io::Result<u32> {
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

/// What a program is attached by. Delete at aya >= 0.16: it can replace the program of a cgroup
/// link itself.
#[derive(Debug)]
pub struct LinkFd(OwnedFd);

/// What the kernel says of a link to a cgroup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CgroupLink {
    /// Id of the link; it stays when its program is replaced.
    pub link_id: u32,
    /// Id of the program.
    pub program_id: u32,
    /// Id of the cgroup; zero once the cgroup is gone.
    pub cgroup_id: u64,
    /// A `bpf_attach_type`.
    pub attach_type: u32,
}

impl LinkFd {
    /// Opens a pinned link.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET (`NotFound`: no such pin).
    pub fn open(path: &Path) -> io::Result<Self> {
        object_get(path, 0).map(Self)
    }

    /// What it links; `None` if it is no link to a cgroup.
    ///
    /// # Errors
    /// Of BPF_OBJ_GET_INFO_BY_FD.
    pub fn info(&self) -> io::Result<Option<CgroupLink>> {
        // SAFETY: plain data, for which zeros are valid.
        let mut info: bpf_link_info = unsafe { zeroed() };
        // SAFETY: whatever object this is, every bit pattern is a valid `bpf_link_info`.
        unsafe { object_info(self.0.as_fd(), &mut info) }?;
        if info.type_ != bpf_link_type::BPF_LINK_TYPE_CGROUP as u32 {
            return Ok(None);
        }
        // SAFETY: plain numbers; the kernel has just said that this member is the one in use.
        let cgroup = unsafe { info.__bindgen_anon_1.cgroup };
        Ok(Some(CgroupLink {
            link_id: info.id,
            program_id: info.prog_id,
            cgroup_id: cgroup.cgroup_id,
            attach_type: cgroup.attach_type,
        }))
    }

    /// Puts another program in the place of the attached one, without a gap (Linux 5.7).
    ///
    /// # Errors
    /// Of BPF_LINK_UPDATE; ENOLINK: its cgroup is gone.
    pub fn update(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        let mut attr = empty();
        attr.link_update.link_fd = number(self.0.as_fd());
        attr.link_update.__bindgen_anon_1.new_prog_fd = number(program);
        // SAFETY: the attributes of this command hold no address.
        unsafe { bpf(bpf_cmd::BPF_LINK_UPDATE, &mut attr) }.map(drop)
    }
}

/// Ids of the programs that the kernel runs for sockets of a cgroup, its ancestors' included.
///
/// # Errors
/// Of BPF_PROG_QUERY.
pub fn effective_programs(cgroup: BorrowedFd<'_>, attach_type: bpf_attach_type) -> io::Result<Vec<u32>> {
    // A cgroup may have at most 64 programs of one type of its own (BPF_CGROUP_MAX_PROGS).
    let mut ids = vec![0_u32; 64];
    loop {
        let mut attr = empty();
        attr.query.__bindgen_anon_1.target_fd = number(cgroup);
        attr.query.attach_type = attach_type as u32;
        attr.query.query_flags = BPF_F_QUERY_EFFECTIVE;
        attr.query.prog_ids = ids.as_mut_ptr() as u64;
        attr.query.__bindgen_anon_2.prog_cnt = ids.len() as u32;
        // SAFETY: `ids` has room for the number of ids that the attributes name.
        let result = unsafe { bpf(bpf_cmd::BPF_PROG_QUERY, &mut attr) };
        // SAFETY: plain data, whatever bits it holds.
        let query = unsafe { attr.query };
        // SAFETY: both members of this union are the same number.
        let count = unsafe { query.__bindgen_anon_2.prog_cnt } as usize;
        match result {
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) && count > ids.len() => {
                ids.resize(count, 0);
            }
            Err(error) => return Err(error),
            Ok(_) => {
                ids.truncate(count);
                return Ok(ids);
            }
        }
    }
}

/// True if a connect4 program may call bpf_set_retval (Linux 6.1, commit dea6a4e17013), tried by
/// loading one.
///
/// # Errors
/// Of BPF_PROG_LOAD, other than EINVAL, which means no (`PermissionDenied`: no CAP_NET_ADMIN).
pub fn probe_set_retval() -> io::Result<bool> {
    let immediate = |code: u32, register: u8, value: i32| -> [u8; 8] {
        let [a, b, c, d] = value.to_ne_bytes();
        [code as u8, register, 0, 0, a, b, c, d]
    };
    // r1 = -ECONNREFUSED; call bpf_set_retval; r0 = 0; exit. Small registers read the same in both
    // byte orders only where they are zero: r1 is 1 in the low nibble, or in the high one.
    let r1 = if cfg!(target_endian = "little") { 0x01 } else { 0x10 };
    let program = [
        immediate(BPF_ALU64 | BPF_MOV | BPF_K, r1, -libc::ECONNREFUSED),
        immediate(BPF_JMP | BPF_CALL, 0, bpf_func_id::BPF_FUNC_set_retval as i32),
        immediate(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0),
        immediate(BPF_JMP | BPF_EXIT, 0, 0),
    ];
    let mut attr = empty();
    attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR as u32;
    attr.__bindgen_anon_3.expected_attach_type = bpf_attach_type::BPF_CGROUP_INET4_CONNECT as u32;
    attr.__bindgen_anon_3.insn_cnt = program.len() as u32;
    attr.__bindgen_anon_3.insns = program.as_ptr() as u64;
    attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    // SAFETY: `program` holds `insn_cnt` instructions, and the licence ends with a zero.
    match unsafe { bpf_open(bpf_cmd::BPF_PROG_LOAD, &mut attr) } {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}

fn object_get(path: &Path, flags: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = empty();
    attr.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attr.__bindgen_anon_4.file_flags = flags;
    // SAFETY: `path` ends with a zero and lives until the call returns.
    unsafe { bpf_open(bpf_cmd::BPF_OBJ_GET, &mut attr) }
}

/// # Safety
/// Every bit pattern must be a valid `T`.
unsafe fn object_info<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<()> {
    let mut attr = empty();
    attr.info.bpf_fd = number(fd);
    attr.info.info_len = size_of::<T>() as u32;
    attr.info.info = &raw mut *info as u64;
    // SAFETY: the kernel writes at most `info_len` bytes to `info`.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }.map(drop)
}

fn empty() -> bpf_attr {
    // SAFETY: plain data, for which zeros are valid; the kernel wants unused members to be zero.
    unsafe { zeroed() }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd() as u32
}

/// # Safety
/// As for [`bpf`], and `command` must be one that returns a new file descriptor.
unsafe fn bpf_open(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: promised by the caller.
    let fd = unsafe { bpf(command, attr) }?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// Every address in `attr` must be valid for what `command` reads or writes there.
unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<RawFd> {
    CALLS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: promised by the caller; the kernel takes a shorter or longer `bpf_attr` than its own
    // as long as what it does not know is zero.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_long, &raw mut *attr, size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
}
