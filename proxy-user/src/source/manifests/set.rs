//! The manifests of some paths, read once or again and again.

use super::{
    diff::{self, Objects},
    file::File,
    listing::{Failed, Listing},
    problem::{ManifestError, Place, Problem},
};
use crate::{model::Event, source::Severity};
use std::{
    collections::{BTreeSet, HashMap},
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a reading of the manifests found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Changes {
    /// What differs from what was delivered before, in an order in which it can be applied.
    pub events: Vec<Event>,
    /// What the user should hear of: problems of the files that changed, and others that are new.
    pub problems: Vec<Problem>,
    /// Whether all of the manifests could be read, where that is another answer than before (and of
    /// the first reading): if not, there may be objects that were never delivered.
    pub complete: Option<bool>,
}

impl Changes {
    /// True where there is nothing to apply and nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.problems.is_empty() && self.complete.is_none()
    }
}

/// The manifests of some files and directories.
#[derive(Debug)]
pub struct ManifestSet {
    paths: Vec<PathBuf>,
    files: Vec<File>,
    delivered: Objects,
    /// Problems that are not of one file, as last reported.
    standing: BTreeSet<Problem>,
    /// As last reported.
    complete: Option<bool>,
}

impl ManifestSet {
    /// Reads the manifests of `paths`: files, and of directories what is directly inside and ends in
    /// `.yaml`, `.yml` or `.json`. Relative paths are taken from the working directory of each reading.
    ///
    /// # Errors
    /// A given path does not exist or cannot be examined. What is wrong inside the files is a
    /// [`Problem`], and the rest is read.
    pub fn load<P: Into<PathBuf>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<(Self, Changes), ManifestError> {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        let mut listing = Listing::of(&paths);
        if !listing.failed.is_empty() {
            let failed = listing.failed.swap_remove(0);
            return Err(ManifestError::Path { path: failed.path, call: failed.call, source: failed.source });
        }
        let mut set = Self {
            paths,
            files: Vec::new(),
            delivered: Objects::new(),
            standing: BTreeSet::new(),
            complete: None,
        };
        let changes = set.apply(listing);
        Ok((set, changes))
    }

    /// The given paths.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Reads again what changed, and returns how that differs from what was delivered before. What can
    /// no longer be read stays as it was; what is gone is deleted.
    pub fn reload(&mut self) -> Changes {
        self.apply(Listing::of(&self.paths))
    }

    fn apply(&mut self, listing: Listing) -> Changes {
        let mut changes = Changes::default();
        let mut standing = BTreeSet::new();
        let mut before: HashMap<Arc<Path>, File> =
            mem::take(&mut self.files).into_iter().map(|file| (file.path().clone(), file)).collect();

        for path in &listing.empty {
            let text = "no *.yaml, *.yml or *.json in this directory";
            standing.insert(Place::file(path.as_path()).problem(Severity::Warning, text));
        }
        // A file that is deleted takes its objects along. A directory that is gone is a lost source (an
        // unmounted volume, a checkout that is being swapped) and no order to remove every Service.
        let deleted = |failed: &Failed| failed.is_gone() && before.contains_key(failed.path.as_path());
        let (deleted, lost): (Vec<_>, Vec<_>) = listing.failed.iter().partition(|failed| deleted(failed));
        for failed in &listing.failed {
            let place = Place::file(failed.path.as_path());
            standing.insert(if deleted.iter().any(|gone| gone.path == failed.path) {
                place.problem(Severity::Warning, "does not exist any more, its objects are deleted")
            } else {
                let text = format!("{}: {}; its objects stay as they were", failed.call, failed.source);
                place.problem(Severity::Error, text)
            });
        }

        for path in &listing.files {
            let mut file = before.remove(path).unwrap_or_else(|| File::new(path.clone()));
            if let Ok(problems) = file.refresh() {
                changes.problems.extend(problems);
                self.files.push(file);
            }
        }
        for failed in &lost {
            let under = |path: &Path| path == failed.path || path.parent() == Some(&failed.path);
            let mut kept: Vec<File> =
                before.extract_if(|path, _| under(path)).map(|(_, file)| file).collect();
            kept.sort_by(|one, other| one.path().cmp(other.path()));
            self.files.extend(kept);
        }

        let complete = lost.is_empty() && !self.files.iter().any(File::is_broken);
        if self.complete.replace(complete) != Some(complete) {
            changes.complete = Some(complete);
        }
        let (objects, duplicates) = diff::merge(self.files.iter().flat_map(File::entries));
        standing.extend(duplicates);
        changes.problems.extend(standing.difference(&self.standing).cloned());
        self.standing = standing;
        changes.events = diff::events(&self.delivered, &objects);
        self.delivered = objects;
        changes
    }
}
