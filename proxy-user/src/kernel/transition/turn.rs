//! Entries of another version's maps in the words of ours.

use crate::kernel::error::KernelError;
use crate::kernel::layout::{MapConversion, Why};
use crate::kernel::object::MapName;
use crate::kernel::sys::MapFd;
use std::cell::Cell;
use std::io;

/// Why the maps of another version are not taken over.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A call failed; another attempt may succeed.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// What its entries are made of.
    #[error("map {map}: {why}")]
    Layout {
        /// The map.
        map: MapName,
        /// Why they cannot become ours.
        why: Why,
    },
    /// Its programs cannot be called by ours, at no attempt.
    #[error("its programs cannot be handed over to: {0}")]
    Programs(KernelError),
}

impl Refusal {
    fn layout(map: MapName, why: Why) -> Self {
        match why {
            Why::Unreadable(source) if is_passing(&source) => {
                Self::Kernel(KernelError::Call { object: map, call: "BPF_BTF_GET_FD_BY_ID", source })
            }
            why => Self::Layout { map, why },
        }
    }
}

/// Whether the machine lacks something that it may have in a moment.
fn is_passing(error: &io::Error) -> bool {
    let lacking = [libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::EINTR];
    error.raw_os_error().is_some_and(|errno| lacking.contains(&errno))
}

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
    /// [`Refusal::Layout`], or [`Refusal::Kernel`] where that could not be found out.
    pub fn new(name: MapName, from: &MapFd, to: &MapFd) -> Result<Self, Refusal> {
        let refused = |why| Refusal::layout(name, why);
        let conversion = MapConversion::into_ours(from, name).map_err(refused)?;
        let value_len = to.value_len().map_err(|source| refused(source.into()))?;
        let sizes = (to.shape().key_size as usize, value_len as usize);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_attempt_may_have_is_no_reason_to_give_up() {
        let of = |errno| Refusal::layout("SERVICES", io::Error::from_raw_os_error(errno).into());
        for errno in [libc::EMFILE, libc::ENOMEM] {
            assert!(matches!(of(errno), Refusal::Kernel(_)), "{errno}");
        }
        // BPF_BTF_GET_FD_BY_ID without CAP_SYS_ADMIN.
        assert!(matches!(of(libc::EPERM), Refusal::Layout { map: "SERVICES", .. }));
        assert!(matches!(Refusal::layout("SLOTS", Why::Undescribed), Refusal::Layout { map: "SLOTS", .. }));
    }
}
