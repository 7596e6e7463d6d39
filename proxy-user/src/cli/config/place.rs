//! Where a value of the configuration comes from.

use std::{fmt, path::Path, sync::Arc};

/// A line of a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    file: Arc<str>,
    /// From 1; none for the file as a whole.
    line: Option<u64>,
}

/// The lines of a text: of a file, or of a text within one.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    file: Arc<str>,
    /// What is added to a line of the text, to have that of the file.
    offset: u64,
}

impl Lines {
    /// Those of a file.
    pub(super) fn of(path: &Path) -> Self {
        Self { file: path.display().to_string().into(), offset: 0 }
    }

    /// Those of a text within the same file that begins below this line.
    pub(super) fn below(&self, line: u64) -> Self {
        Self { file: Arc::clone(&self.file), offset: self.offset + line }
    }

    /// Those of a text within the same file whose lines are not the file's.
    pub(super) fn within(&self, key: &str) -> Self {
        Self { file: format!("{}, {key}", self.file).into(), offset: 0 }
    }

    pub(super) fn at(&self, line: u64) -> Place {
        Place { file: Arc::clone(&self.file), line: Some(self.offset + line) }
    }

    pub(super) fn whole(&self) -> Place {
        Place { file: Arc::clone(&self.file), line: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Who gave a word its value. The first of these comes first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// An option of the command line.
    CommandLine,
    /// A variable of the environment.
    Environment(String),
    /// The file of `--config`.
    File(Place),
    /// The file of `--kube-proxy-config`, and the field there.
    KubeProxy { place: Place, field: String },
    /// The host's own name.
    HostName,
    /// Nobody.
    Default,
}

impl Source {
    /// The line of a file, if it is one.
    pub(super) const fn place(&self) -> Option<&Place> {
        match self {
            Self::File(place) | Self::KubeProxy { place, .. } => Some(place),
            Self::CommandLine | Self::Environment(_) | Self::HostName | Self::Default => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Environment(variable) => write!(f, "environment, {variable}"),
            Self::File(place) => place.fmt(f),
            Self::KubeProxy { place, field } => write!(f, "{place}, {field}"),
            Self::HostName => f.write_str("name of the host"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What is wrong with a file; nothing is used of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub place: Place,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// What stands in a file and is not used, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ignored {
    pub place: Place,
    /// The word or field, with its value.
    pub what: String,
    pub why: String,
    /// Whether somebody may miss it. If not, nothing changes for want of it.
    pub matters: bool,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is not used: {}", self.place, self.what, self.why)
    }
}
