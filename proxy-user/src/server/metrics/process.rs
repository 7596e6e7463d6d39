//! What every Prometheus client says of its process: /proc/self/stat, limits and open files.

use super::page::Page;
use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};
use std::{fmt, fs, sync::OnceLock};

/// This process at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct ProcessSnapshot {
    pub cpu_seconds: f64,
    pub threads: u64,
    /// Seconds since 1970.
    pub start: f64,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    pub open_files: u64,
    pub max_files: u64,
}

impl ProcessSnapshot {
    pub fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counter("process_cpu_seconds", "Time on CPUs, user and system, in seconds.", self.cpu_seconds)?;
        page.gauge("process_resident_memory_bytes", "Resident memory, in bytes.", self.resident_bytes)?;
        page.gauge("process_virtual_memory_bytes", "Virtual memory, in bytes.", self.virtual_bytes)?;
        page.gauge("process_start_time_seconds", "When it was started, in seconds since 1970.", self.start)?;
        page.gauge("process_threads", "Threads.", self.threads)?;
        page.gauge("process_open_fds", "Open file descriptors.", self.open_files)?;
        page.gauge("process_max_fds", "Most file descriptors that may be open.", self.max_files)
    }
}

/// Of this process; `None` without /proc.
pub(super) fn read() -> Option<ProcessSnapshot> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let sizes = Sizes { tick: clock_ticks_per_second(), page: page_size() as u64, booted: booted()? };
    let mut process = parse(&stat, &sizes)?;
    // The directory itself is one of them while it is read.
    process.open_files = (fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1);
    process.max_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    Some(process)
}

/// What the numbers of /proc are counted in.
struct Sizes {
    /// Ticks per second.
    tick: u64,
    page: u64,
    /// When the machine was booted, seconds since 1970.
    booted: u64,
}

/// proc(5): the fields after the command's name, which stands in parentheses and may hold anything.
fn parse(stat: &str, sizes: &Sizes) -> Option<ProcessSnapshot> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    // The first of them is the third of proc(5), the state.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let seconds = |ticks: u64| ticks as f64 / sizes.tick as f64;
    Some(ProcessSnapshot {
        cpu_seconds: seconds(field(14)? + field(15)?),
        threads: field(20)?,
        start: sizes.booted as f64 + seconds(field(22)?),
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * sizes.page,
        open_files: 0,
        max_files: 0,
    })
}

/// `btime` of /proc/stat, which stays.
fn booted() -> Option<u64> {
    static BOOTED: OnceLock<Option<u64>> = OnceLock::new();
    *BOOTED.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_be_called_anything() {
        let sizes = Sizes { tick: 100, page: 4_096, booted: 1_000 };
        let stat =
            "42 (a) S (b) R 1 42 42 0 -1 4194304 900 0 0 0 150 50 0 0 20 0 3 0 12345 8192000 700 184467";
        let process = parse(stat, &sizes).unwrap();
        let wanted = ProcessSnapshot {
            cpu_seconds: 2.0,
            threads: 3,
            start: 1_123.45,
            virtual_bytes: 8_192_000,
            resident_bytes: 700 * 4_096,
            open_files: 0,
            max_files: 0,
        };
        assert_eq!(process, wanted);
        assert_eq!(parse("42 (shunt) S 1", &sizes), None);
    }

    #[test]
    fn this_process_is_alive() {
        let process = read().unwrap();
        assert!(process.threads >= 1 && process.open_files >= 3 && process.max_files >= process.open_files);
        assert!(process.resident_bytes > 100_000 && process.virtual_bytes > process.resident_bytes);
        assert!(process.start > 1.0e9, "{}", process.start);
    }
}
