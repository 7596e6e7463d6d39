//! What a process costs: resident memory, with the mapped arrays of BPF apart, and processor time of it and of
//! all that it starts.

use anyhow::{Context as _, Result};
use shunt::lab::Cgroup;
use std::{collections::BTreeMap, fs, path::Path};

/// How smaps calls a mapped array.
const MAPPED_ARRAY: &str = "anon_inode:bpf-map";

/// Resident memory of a process, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Memory {
    /// VmHWM: the most there was so far, mapped arrays included.
    pub peak: u64,
    /// VmRSS: now, mapped arrays included.
    pub now: u64,
    /// Mapped arrays of BPF, whose memory is the kernel's.
    pub mapped: u64,
}

impl Memory {
    /// That of a process.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn of(process: u32) -> Result<Self> {
        let directory = Path::new("/proc").join(process.to_string());
        let read = |name| {
            fs::read_to_string(directory.join(name)).with_context(|| format!("read {name} of {process}"))
        };
        let status = read("status")?;
        let field = |name| field(&status, name).with_context(|| format!("no {name} in status"));
        Ok(Self { peak: field("VmHWM")?, now: field("VmRSS")?, mapped: mapped_arrays(&read("smaps")?) })
    }

    /// Now, without mapped arrays.
    #[must_use]
    pub const fn own(&self) -> u64 {
        self.now.saturating_sub(self.mapped)
    }

    /// At most, without mapped arrays. They are resident as a whole from when they are mapped, and stay.
    #[must_use]
    pub const fn own_peak(&self) -> u64 {
        self.peak.saturating_sub(self.mapped)
    }
}

/// The most that each process in a cgroup has had resident so far, bytes, with its name, by number.
///
/// # Errors
/// Where the cgroup cannot be read.
pub fn peaks(cgroup: &Cgroup) -> Result<BTreeMap<u32, (String, u64)>> {
    let threads = fs::read_to_string(cgroup.path().join("cgroup.threads")).context("read(cgroup.threads)")?;
    let mut found = BTreeMap::new();
    for thread in threads.lines() {
        // One that has ended since has no status.
        let Ok(status) = fs::read_to_string(format!("/proc/{thread}/status")) else { continue };
        let text = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let process = text("Tgid:").and_then(|number| number.parse().ok());
        if let (Some(process), Some(name), Some(peak)) = (process, text("Name:"), field(&status, "VmHWM")) {
            found.insert(process, (name.to_owned(), peak));
        }
    }
    Ok(found)
}

/// Seconds of processor time that a cgroup's processes have taken, those that have ended included.
///
/// # Errors
/// Where the cgroup cannot be read.
pub fn processor_time(cgroup: &Cgroup) -> Result<f64> {
    let stat = fs::read_to_string(cgroup.path().join("cpu.stat")).context("read(cpu.stat)")?;
    let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok());
    Ok(usage.context("no usage_usec in cpu.stat")? as f64 / 1e6)
}

/// A field of /proc/<pid>/status, bytes.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

/// Bytes of mapped arrays that are resident.
fn mapped_arrays(smaps: &str) -> u64 {
    let (mut sum, mut is_array) = (0, false);
    for line in smaps.lines() {
        if let Some(size) = line.strip_prefix("Rss:") {
            let size = size.trim().strip_suffix(" kB").and_then(|size| size.parse::<u64>().ok());
            sum += if is_array { size.unwrap_or(0) * 1024 } else { 0 };
        } else if line.split(' ').next().is_some_and(|first| first.contains('-') && !first.contains(':')) {
            is_array = line.ends_with(MAPPED_ARRAY);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mapped_arrays_count_as_such() {
        let smaps = "\
7f00-7f10 rw-s 00000000 00:10 1041                       anon_inode:bpf-map
Size:                 64 kB
Rss:                  64 kB
7f10-7f20 rw-p 00000000 00:00 0
Rss:                  16 kB
VmFlags: rd wr mr mw me ac sd
7f20-7f30 r--s 00001000 00:10 1041                       anon_inode:bpf-map
Rss:                   4 kB
7f30-7f40 r-xp 00000000 fe:00 9 /usr/bin/x
Rss:                 100 kB
";
        assert_eq!(mapped_arrays(smaps), 68 * 1024);
    }

    #[test]
    fn this_process_has_memory_and_no_mapped_arrays() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.peak >= memory.now && memory.now > 100_000, "{memory:?}");
        assert_eq!(memory.mapped, 0);
        assert_eq!((memory.own(), memory.own_peak()), (memory.now, memory.peak));
    }
}
