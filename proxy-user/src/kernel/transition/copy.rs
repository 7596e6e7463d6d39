//! Copies what the agent alone writes from one map to another one.

use crate::kernel::entries::{Entries, read_entries};
use crate::kernel::sys::MapFd;
use std::io;

/// Entries per BPF_MAP_UPDATE_BATCH call.
const BATCH: usize = 4096;

/// How an entry of one map is said in another one: its key and value there; `None` leaves it out.
pub type Turn<'a> = &'a dyn Fn(&[u8], &[u8]) -> Option<(Vec<u8>, Vec<u8>)>;

/// Copies every entry; of an array those that are not zero, since the other one is new. Returns how many.
///
/// # Errors
/// Of the call that failed.
pub fn copy(from: &MapFd, to: &MapFd, turn: Option<Turn<'_>>) -> io::Result<usize> {
    let entries = read_entries(from)?;
    let mut out = Entries::new(to)?;
    let sparse = from.shape().is_array();
    for (key, value) in entries.iter() {
        if sparse && value.iter().all(|byte| *byte == 0) {
            continue;
        }
        match turn {
            None => out.push(key, value),
            Some(turn) => {
                if let Some((key, value)) = turn(key, value) {
                    out.push(&key, &value);
                }
            }
        }
    }
    write(to, &out)?;
    Ok(out.len())
}

/// Writes entries, over what is there.
fn write(to: &MapFd, entries: &Entries) -> io::Result<()> {
    if !to.shape().is_hash() && !to.shape().is_array() {
        return singly(to, entries, 0);
    }
    for (keys, values) in entries.chunks(BATCH) {
        match to.update_batch(keys, values) {
            Ok(()) => {}
            Err((done, error)) if is_unsupported(&error) => {
                return singly(to, entries, done);
            }
            Err((_, error)) => return Err(error),
        }
    }
    Ok(())
}

fn singly(to: &MapFd, entries: &Entries, skip: usize) -> io::Result<()> {
    entries.iter().skip(skip).try_for_each(|(key, value)| to.update(key, value))
}

/// ENOTSUPP of linux/errno.h: batches of this type came later than those of others.
fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | 524))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::shape::MapShape;
    use aya_obj::generated::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, bpf_map_type as kind};

    fn map(kind: kind, key_size: u32, max_entries: u32, flags: u32) -> MapFd {
        let shape = MapShape { map_type: kind as u32, key_size, value_size: 8, max_entries, flags };
        MapFd::create(&shape, None).unwrap()
    }

    #[test]
    fn every_kind_of_map_is_copied_to_a_larger_one() {
        if std::env::var_os("SHUNT_SKIP_LAB").is_some() {
            eprintln!("skipped: SHUNT_SKIP_LAB is set, and this test makes maps in the kernel");
            return;
        }
        for (kind, key_size, flags) in [
            (kind::BPF_MAP_TYPE_HASH, 4, 0),
            (kind::BPF_MAP_TYPE_ARRAY, 4, BPF_F_MMAPABLE),
            (kind::BPF_MAP_TYPE_PERCPU_ARRAY, 4, 0),
            (kind::BPF_MAP_TYPE_LPM_TRIE, 8, BPF_F_NO_PREALLOC),
        ] {
            let (from, to) = (map(kind, key_size, 9_000, flags), map(kind, key_size, 20_000, flags));
            let value_len = from.value_len().unwrap() as usize;
            let key = |index: u32| match key_size {
                4 => index.to_ne_bytes().to_vec(),
                _ => [32_u32.to_ne_bytes(), index.to_be_bytes()].concat(),
            };
            for index in (0..9_000).step_by(3) {
                from.update(&key(index), &vec![(index % 250) as u8 + 1; value_len]).unwrap();
            }
            assert_eq!(copy(&from, &to, None).unwrap(), 3_000, "{}", from.shape());
            for index in (0..9_000).step_by(3) {
                assert_eq!(to.lookup(&key(index)).unwrap(), vec![(index % 250) as u8 + 1; value_len]);
            }
            let doubled = |key: &[u8], value: &[u8]| {
                value.first().is_some_and(|first| *first < 10).then(|| (key.to_vec(), vec![7; value.len()]))
            };
            let turned = copy(&from, &to, Some(&doubled)).unwrap();
            assert!(turned > 0 && turned < 3_000);
            assert_eq!(to.lookup(&key(3)).unwrap(), vec![7; value_len]);
            assert_eq!(to.lookup(&key(30)).unwrap(), vec![31; value_len], "left out");
        }
    }
}
