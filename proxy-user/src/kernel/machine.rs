//! What this machine has: the sizes of maps follow it.

use crate::writer::{Fixed, Limits};

/// Memory and CPUs of this machine, whatever a container may use of them: kernel memory of maps is the node's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Bytes of memory: MemTotal of /proc/meminfo.
    pub memory: u64,
    /// Possible CPUs, each of which has values of its own in per-CPU maps.
    pub cpus: u32,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        let info = rustix::system::sysinfo();
        let unit = u64::from(info.mem_unit.max(1));
        let cpus = aya::util::nr_cpus().ok().and_then(|cpus| u32::try_from(cpus).ok());
        // Without /sys the number of CPUs is not known: few machines have more.
        Self { memory: info.totalram.saturating_mul(unit), cpus: cpus.unwrap_or(64) }
    }

    /// What maps may grow to here: `memory` bytes, else the usual share of this machine's.
    #[must_use]
    pub fn limits(&self, memory: Option<u64>, fixed: Fixed) -> Limits {
        let memory = memory.unwrap_or_else(|| Limits::memory_of(self.memory));
        Limits { memory, cpus: self.cpus, fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_the_kernel() {
        let machine = Machine::here();
        let info = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let total: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
        assert_eq!(machine.memory / 1024, total);
        assert!(machine.cpus >= 1);
        let limits = machine.limits(None, Fixed::default());
        assert_eq!(limits.memory, Limits::memory_of(machine.memory));
        assert_eq!(machine.limits(Some(5), Fixed::default()).memory, 5);
    }
}
