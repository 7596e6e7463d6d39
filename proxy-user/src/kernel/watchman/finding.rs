//! What is not as it should be, in the words of the agent's log, its metrics and `shunt doctor`.

use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Nothing is lost by it as long as nothing else comes to it.
    Note,
    /// Some connections or packets may go another way than Services say, or the next fault will make them.
    Degraded,
    /// What comes to this hook is not balanced.
    Broken,
}

impl Severity {
    /// For machines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Degraded => "degraded",
            Self::Broken => "broken",
        }
    }
}

/// What is the matter with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// It is not there: nobody has made it, or somebody has removed it.
    Missing,
    /// Its link is there, but attaches to nothing any more.
    Detached,
    /// Another program runs in its place.
    Replaced,
    /// It serves another cgroup than the one that is wanted, or one that was removed and made again.
    Elsewhere,
    /// It is attached, and the kernel does not run it.
    Ineffective,
    /// Its pin is missing. It works on as long as the agent lives.
    Unpinned,
    /// Something else is pinned in its place.
    ForeignPin,
    /// The pin path is on no bpffs, or on another one than before.
    Unmounted,
    /// A program of somebody else's runs before it.
    ForeignBefore,
    /// A program of somebody else's runs after it, on what it has translated.
    ForeignAfter,
    /// A program of somebody else's is attached in a way that keeps others from being attached.
    Blocked,
    /// An XDP program sees packets before it.
    Xdp,
    /// The cgroup is not the one that all sockets of the node are in.
    NarrowCgroup,
    /// The kernel could not be asked.
    Unknown,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 14] = [
        Self::Missing,
        Self::Detached,
        Self::Replaced,
        Self::Elsewhere,
        Self::Ineffective,
        Self::Unpinned,
        Self::ForeignPin,
        Self::Unmounted,
        Self::ForeignBefore,
        Self::ForeignAfter,
        Self::Blocked,
        Self::Xdp,
        Self::NarrowCgroup,
        Self::Unknown,
    ];

    /// As it stands in a metric's label.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Detached => "detached",
            Self::Replaced => "replaced",
            Self::Elsewhere => "elsewhere",
            Self::Ineffective => "ineffective",
            Self::Unpinned => "unpinned",
            Self::ForeignPin => "foreign_pin",
            Self::Unmounted => "unmounted",
            Self::ForeignBefore => "foreign_before",
            Self::ForeignAfter => "foreign_after",
            Self::Blocked => "blocked",
            Self::Xdp => "xdp",
            Self::NarrowCgroup => "narrow_cgroup",
            Self::Unknown => "unknown",
        }
    }

    /// How bad it is at most hooks.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Missing
            | Self::Detached
            | Self::Replaced
            | Self::Elsewhere
            | Self::Ineffective
            | Self::Blocked
            | Self::NarrowCgroup => Severity::Broken,
            Self::Unpinned | Self::ForeignPin | Self::Unmounted | Self::ForeignBefore | Self::Unknown => {
                Severity::Degraded
            }
            Self::ForeignAfter | Self::Xdp => Severity::Note,
        }
    }

    /// Whether it is somebody else's program that is in the way, which Shunt names and leaves alone.
    #[must_use]
    pub const fn is_foreign_program(self) -> bool {
        matches!(self, Self::ForeignBefore | Self::ForeignAfter | Self::Blocked | Self::Xdp)
    }
}

/// What something is the matter with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Hook {
    /// A program's name, a map's, or `stages`, `pins` or `cgroup`.
    pub name: &'static str,
    /// The device of a packet program, by index in the network namespace of who looked.
    pub device: Option<u32>,
}

impl Hook {
    /// One that belongs to no device.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, device: None }
    }

    /// One of a device.
    #[must_use]
    pub const fn on(name: &'static str, device: u32) -> Self {
        Self { name, device: Some(device) }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.device {
            Some(device) => write!(f, "{} on {}", self.name, super::device_name(device)),
            None => f.write_str(self.name),
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where.
    pub hook: Hook,
    /// What.
    pub fault: Fault,
    /// How bad it is here.
    pub severity: Severity,
    /// One sentence without a period: who, and what it means. It does not name the hook.
    pub text: String,
}

impl Finding {
    /// With the severity that the fault mostly has.
    pub(in crate::kernel) fn new(hook: Hook, fault: Fault, text: impl Into<String>) -> Self {
        Self { hook, fault, severity: fault.severity(), text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.hook, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_labels_and_differ() {
        let words: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.word()).collect();
        assert_eq!(words.len(), Fault::ALL.len());
        assert!(words.iter().all(|word| word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())));
    }

    #[test]
    fn what_stops_balancing_is_worse_than_what_may() {
        assert!(Severity::Broken > Severity::Degraded && Severity::Degraded > Severity::Note);
        let finding = Finding::new(Hook::new("connect4"), Fault::Detached, "gone");
        assert_eq!((finding.severity, finding.to_string()), (Severity::Broken, "connect4: gone".into()));
    }
}
