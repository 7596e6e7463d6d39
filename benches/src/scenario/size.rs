//! How large and how often.

use clap::ValueEnum;

/// Endpoints of every service.
pub const ENDPOINTS: u32 = 10;

/// Size of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Scale {
    /// Up to 10 000 services, in less than a minute.
    Small,
    /// Up to 100 000 services, in some minutes.
    Full,
}

impl Scale {
    /// Numbers of services, ascending.
    #[must_use]
    pub const fn sizes(self) -> [u32; 3] {
        match self {
            Self::Small => [100, 1_000, 10_000],
            Self::Full => [100, 10_000, 100_000],
        }
    }

    /// Rounds in which the sizes take turns, so that a disturbance meets all of them.
    #[must_use]
    pub const fn rounds(self) -> usize {
        5
    }

    /// A number of repetitions: the full one, or a tenth of it.
    #[must_use]
    pub const fn times(self, full: usize) -> usize {
        match self {
            Self::Small => full / 10,
            Self::Full => full,
        }
    }
}
