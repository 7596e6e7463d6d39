//! REVERSE as the reconcile sees it, while the programs go on writing to it.

use crate::kernel::KernelError;
use crate::kernel::entries::read_all;
use crate::kernel::object::REVERSE;
use crate::kernel::sys::MapFd;
use proxy_common::abi::{ReverseEntry, SocketKey};
use std::io::{self, ErrorKind};
use zerocopy::{FromBytes, IntoBytes};

/// The map, open for reading and writing.
#[derive(Clone, Copy, Debug)]
pub struct Reverse<'a>(pub &'a MapFd);

impl Reverse<'_> {
    /// Every entry: one system call per 4096 of them, and one more. None becomes younger by it.
    pub fn all(self) -> Result<Vec<(SocketKey, ReverseEntry)>, KernelError> {
        read_all(self.0).map_err(|source| failed("BPF_MAP_LOOKUP_BATCH", source))
    }

    /// Removes an entry unless it has changed, and says whether it did. Between the look and the removal a
    /// program may write the entry anew: it is lost then, and with it the frontend's name for the peer.
    pub fn forget(self, key: &SocketKey, entry: &ReverseEntry) -> Result<bool, KernelError> {
        if !self.still_holds(key, entry)? {
            return Ok(false);
        }
        match self.0.delete(key.as_bytes()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("BPF_MAP_DELETE_ELEM", error)),
        }
    }

    /// True if the entry is there and has not changed: its socket has reached no backend under this
    /// address since.
    pub fn still_holds(self, key: &SocketKey, entry: &ReverseEntry) -> Result<bool, KernelError> {
        match self.0.lookup(key.as_bytes()) {
            Ok(value) => Ok(ReverseEntry::read_from_bytes(&value).is_ok_and(|now| now == *entry)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("BPF_MAP_LOOKUP_ELEM", error)),
        }
    }
}

fn failed(call: &'static str, source: io::Error) -> KernelError {
    KernelError::Call { object: REVERSE, call, source }
}
