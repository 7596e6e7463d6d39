//! Processor time, as the kernel accounts it to processes: what other load on the machine does not take away.

use anyhow::{Context as _, Result};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Fields of /proc/PID/stat (proc(5)), counted from behind the name: time in user mode and in the kernel, and that of
/// children that have ended.
const OWN: [usize; 2] = [11, 12];
const CHILDREN: [usize; 2] = [13, 14];

/// Seconds that ended children of this process took.
///
/// # Errors
/// Where /proc cannot be read.
pub fn of_children() -> Result<f64> {
    seconds(Path::new("/proc/self"), CHILDREN).context("read(/proc/self/stat)")
}

/// Seconds that the processes in a network namespace took, those that have ended left out; given its inode.
///
/// # Errors
/// Where /proc cannot be read.
pub fn of_namespace(inode: u64) -> Result<f64> {
    let mut sum = 0.0;
    for entry in fs::read_dir("/proc").context("read_dir(/proc)")? {
        let process = entry.context("read_dir(/proc)")?.path();
        // What is no process, or has ended since, has none.
        if fs::metadata(process.join("ns/net")).is_ok_and(|namespace| namespace.ino() == inode) {
            sum += seconds(&process, OWN).unwrap_or(0.0);
        }
    }
    Ok(sum)
}

fn seconds(process: &Path, fields: [usize; 2]) -> Option<f64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // The name may have spaces and brackets in it.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let values: Vec<&str> = after_name.split(' ').collect();
    let ticks = fields.iter().map(|field| values.get(*field)?.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{hint::black_box, time::Instant};

    #[test]
    fn this_process_takes_what_it_takes() {
        let own = || seconds(Path::new("/proc/self"), OWN).unwrap();
        let (before, start) = (own(), Instant::now());
        while own() - before < 0.1 {
            black_box(own());
        }
        // Never more than all processors together can give.
        let most = start.elapsed().as_secs_f64() * 1024.0;
        assert!(own() - before <= most);
        let inode = fs::metadata("/proc/self/ns/net").unwrap().ino();
        assert!(of_namespace(inode).unwrap() >= before);
    }
}
