//! Waiting until no program can still see what was replaced (DESIGN.md, section 1).

use super::shape::MapShape;
use super::sys::{MapFd, swap_inner};
use aya_obj::generated::bpf_map_type;
use std::io;

/// A one-entry map of maps of our own, which no program uses: updating it makes the kernel wait for
/// an RCU grace period (`maybe_wait_bpf_programs`, Linux 4.20, commit 1ae80cf31938), and programs
/// run inside RCU read-side sections.
#[derive(Debug)]
pub struct Grace {
    outer: MapFd,
    inner: MapFd,
}

impl Grace {
    /// Makes the maps. They go with the process.
    ///
    /// # Errors
    /// Of BPF_MAP_CREATE.
    pub fn new() -> io::Result<Self> {
        let template = MapShape {
            map_type: bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            flags: 0,
        };
        let inner = MapFd::create(&template, None)?;
        let outer = MapShape { map_type: bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32, ..template };
        Ok(Self { outer: MapFd::create(&outer, Some(&inner))?, inner })
    }

    /// Returns once every program that started before the call has ended: tens of milliseconds.
    ///
    /// # Errors
    /// Of BPF_MAP_UPDATE_ELEM; nothing was waited for then.
    pub fn wait(&self) -> io::Result<()> {
        swap_inner(&self.outer, &self.inner)
    }
}
