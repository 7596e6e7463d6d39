//! What went wrong, and where: the file, the document in it, the object.

use crate::source::{Severity, kubernetes::printable};
use smol_str::SmolStr;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Why no source could be made of the given paths.
#[derive(thiserror::Error, Debug)]
pub enum ManifestError {
    /// A given path does not exist or cannot be examined.
    #[error("{}: {call}: {source}", path.display())]
    Path {
        /// The path, as given.
        path: PathBuf,
        /// The call that failed.
        call: &'static str,
        /// Its answer.
        source: io::Error,
    },
    /// There is no inotify instance to be had (`fs.inotify.max_user_instances`).
    #[error("watching manifests: inotify_init: {0}")]
    Inotify(#[source] notify::Error),
    /// A directory cannot be watched.
    #[error("{}: inotify_add_watch: {source}", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// The answer.
        source: notify::Error,
    },
    /// The thread that follows the files could not be started.
    #[error("watching manifests: starting a thread: {0}")]
    Thread(#[source] io::Error),
}

/// Something about the manifests that the user should hear of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// What is wrong, with the field where there is one, and what was done.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A place in the manifests, as `examples/web.yaml, document 2 (Service default/web)`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// File or directory, as it was reached from the given path.
    pub file: Arc<Path>,
    /// Number of the document in the file, from 1; empty documents are not counted. `None` for the file
    /// as a whole.
    pub document: Option<usize>,
    /// The member of a List, as `items[3]`; empty outside of Lists.
    pub item: SmolStr,
    /// Kind and name of the object, as far as they are known.
    pub object: SmolStr,
}

impl Place {
    /// A file or directory as a whole.
    #[must_use]
    pub fn file(path: impl Into<Arc<Path>>) -> Self {
        Self { file: path.into(), document: None, item: SmolStr::default(), object: SmolStr::default() }
    }

    /// A document of the file.
    pub(super) fn document(&self, number: usize) -> Self {
        Self { document: Some(number), ..self.clone() }
    }

    /// A member of the List that is here.
    pub(super) fn member(&self, index: usize) -> Self {
        let dot = if self.item.is_empty() { "" } else { "." };
        Self { item: SmolStr::from(format!("{}{dot}items[{index}]", self.item)), ..self.clone() }
    }

    /// The same place, once it is known what stands there.
    pub(super) fn naming(&self, object: impl fmt::Display) -> Self {
        Self { object: SmolStr::from(printable(object.to_string())), ..self.clone() }
    }

    pub(super) fn problem(&self, severity: Severity, text: impl Into<String>) -> Problem {
        Problem { severity, place: self.clone(), text: printable(text.into()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(number) = self.document {
            write!(f, ", document {number}")?;
        }
        if !self.item.is_empty() {
            write!(f, ", {}", self.item)?;
        }
        if !self.object.is_empty() {
            write!(f, " ({})", self.object)?;
        }
        Ok(())
    }
}
