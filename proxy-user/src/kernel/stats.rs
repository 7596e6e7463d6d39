//! STATS and COUNTERS: what each service port carries, and totals by reason, summed over all CPUs. They are read by
//! batches, or entry by entry where the kernel has no batches for per-CPU arrays (before Linux 5.13, commit f008d732ab18).

use super::sys::MapFd;
use proxy_common::abi::ServiceStats;
use std::io;
use zerocopy::FromBytes;

/// Entries per BPF_MAP_LOOKUP_BATCH call.
const BATCH: u32 = 1024;

/// What the kernel calls ENOTSUPP and has no name for in userspace: a batch call on a map without batches.
const ENOTSUPP: i32 = 524;

/// The entries of STATS from the first one on: at least `count`, as far as there are so many.
///
/// # Errors
/// Of BPF_MAP_LOOKUP_BATCH or BPF_MAP_LOOKUP_ELEM; `InvalidInput` where the map is none of [`ServiceStats`].
pub fn read_stats(map: &MapFd, count: u32) -> io::Result<Vec<ServiceStats>> {
    read(map, count, add)
}

const fn add(sum: ServiceStats, one: ServiceStats) -> ServiceStats {
    ServiceStats {
        flows: sum.flows.wrapping_add(one.flows),
        bytes_to_backends: sum.bytes_to_backends.wrapping_add(one.bytes_to_backends),
        bytes_to_clients: sum.bytes_to_clients.wrapping_add(one.bytes_to_clients),
    }
}

/// The entries of COUNTERS.
///
/// # Errors
/// As for [`read_stats`].
pub fn read_counters(map: &MapFd) -> io::Result<Vec<u64>> {
    read(map, map.shape().max_entries, u64::wrapping_add)
}

/// Adds up what the CPUs have of each entry.
fn read<T: FromBytes + Default>(map: &MapFd, count: u32, add: fn(T, T) -> T) -> io::Result<Vec<T>> {
    if map.shape().value_size as usize != size_of::<T>() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let count = count.next_multiple_of(BATCH).min(map.shape().max_entries);
    match read_batches(map, count, add) {
        Err(error) if [Some(libc::EINVAL), Some(ENOTSUPP)].contains(&error.raw_os_error()) => {
            read_singly(map, count, add)
        }
        result => result,
    }
}

fn read_batches<T: FromBytes + Default>(map: &MapFd, count: u32, add: fn(T, T) -> T) -> io::Result<Vec<T>> {
    let value = map.value_len()? as usize;
    let mut sums = Vec::with_capacity(count as usize);
    let (mut cursor, mut more) = (0, true);
    while more && sums.len() < count as usize {
        let room = (count as usize - sums.len()).min(BATCH as usize);
        let (mut keys, mut values) = (vec![0; room * size_of::<u32>()], vec![0; room * value]);
        let read;
        (read, more) = map.lookup_batch(&mut cursor, sums.is_empty(), &mut keys, &mut values)?;
        sums.extend(values.chunks_exact(value).take(read).map(|values| sum(values, add)));
    }
    Ok(sums)
}

fn read_singly<T: FromBytes + Default>(map: &MapFd, count: u32, add: fn(T, T) -> T) -> io::Result<Vec<T>> {
    (0..count).map(|index| Ok(sum(&map.lookup(&index.to_ne_bytes())?, add))).collect()
}

/// The sum of the values of all CPUs. The kernel gives each of them a multiple of 8 bytes, as both types are.
fn sum<T: FromBytes + Default>(values: &[u8], add: fn(T, T) -> T) -> T {
    let each = values.chunks_exact(size_of::<T>());
    each.filter_map(|value| T::read_from_bytes(value).ok()).fold(T::default(), add)
}

#[cfg(test)]
mod tests {
    use super::super::shape::MapShape;
    use super::*;
    use aya_obj::generated::bpf_map_type;
    use zerocopy::IntoBytes as _;

    #[test]
    fn batches_and_single_entries_read_the_same() {
        if std::env::var_os("SHUNT_SKIP_LAB").is_some() {
            eprintln!("skipped: SHUNT_SKIP_LAB is set, and this test makes a map in the kernel");
            return;
        }
        let entries = 2 * BATCH + 100;
        let shape = MapShape {
            map_type: bpf_map_type::BPF_MAP_TYPE_PERCPU_ARRAY as u32,
            key_size: 4,
            value_size: size_of::<ServiceStats>() as u32,
            max_entries: entries,
            flags: 0,
        };
        let map = MapFd::create(&shape, None).unwrap();
        let cpus = map.value_len().unwrap() as usize / size_of::<ServiceStats>();
        for index in 0..entries {
            let of = |cpu| ServiceStats {
                flows: u64::from(index) + cpu,
                bytes_to_backends: 2 * cpu,
                bytes_to_clients: 3,
            };
            let values: Vec<u8> = (0..cpus as u64).flat_map(|cpu| of(cpu).as_bytes().to_vec()).collect();
            map.update(&index.to_ne_bytes(), &values).unwrap();
        }
        let (count, sum) = (cpus as u64, (0..cpus as u64).sum::<u64>());
        let wanted: Vec<_> = (0..u64::from(entries))
            .map(|index| ServiceStats {
                flows: index * count + sum,
                bytes_to_backends: 2 * sum,
                bytes_to_clients: 3 * count,
            })
            .collect();
        assert_eq!(read_batches(&map, entries, add).unwrap(), wanted);
        assert_eq!(read_singly(&map, entries, add).unwrap(), wanted);
        assert_eq!(read_stats(&map, entries).unwrap(), wanted, "to the end of the map");
        assert_eq!(
            read_stats(&map, 5).unwrap(),
            wanted[..BATCH as usize],
            "no more than is asked for, in batches"
        );
        assert_eq!(read_stats(&map, 0).unwrap(), []);
        let other = MapFd::create(&MapShape { value_size: 8, ..shape }, None).unwrap();
        assert_eq!(read_stats(&other, 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
