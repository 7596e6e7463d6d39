//! Follows manifests live, by inotify, on a thread of its own.

use super::{
    debounce::{Burst, Change},
    problem::{ManifestError, Place, Problem},
    set::{Changes, ManifestSet},
    watches::Watches,
};
use crate::source::Severity;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use std::{
    collections::BTreeMap,
    fs, mem,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Manifests that are followed until this is dropped.
#[derive(Debug)]
pub struct ManifestWatcher {
    /// Always there, but while it is being dropped.
    changes: Option<Receiver<Changes>>,
    signals: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl ManifestWatcher {
    /// Reads the manifests of `paths`, as [`ManifestSet::load`] does, and follows them from then on. The
    /// changes returned are the complete list of what there is; [`Self::recv_timeout`] gives what
    /// happens later.
    ///
    /// # Errors
    /// A given path does not exist or cannot be examined, or inotify or a thread is not to be had.
    pub fn start<P: Into<PathBuf>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<(Self, Changes), ManifestError> {
        let paths: Vec<PathBuf> = paths.into_iter().map(Into::into).collect();
        let (signals, received) = mpsc::channel();
        let handler = {
            let signals = signals.clone();
            // Where the receiver is gone, this watcher is on its way out.
            move |event| drop(signals.send(Signal::File(event)))
        };
        let watcher = notify::recommended_watcher(handler).map_err(ManifestError::Inotify)?;
        let mut inotify = Inotify { watcher, watched: BTreeMap::new(), wanted: Watches::default() };
        // Watch first and read then: what changes in between is seen by both rather than by none.
        let unwatched = inotify.update(&paths);
        let (set, first) = ManifestSet::load(paths)?;
        if let Some((path, source)) = unwatched.into_iter().next() {
            return Err(ManifestError::Watch { path, source });
        }

        // One change waits at most: while the receiver is busy, later ones are read as one.
        let (changed, changes) = mpsc::sync_channel(1);
        let follower = Follower { inotify, set, signals: received, changed };
        let thread = thread::Builder::new()
            .name("shunt-manifests".into())
            .spawn(move || follower.run())
            .map_err(ManifestError::Thread)?;
        Ok((Self { changes: Some(changes), signals, thread: Some(thread) }, first))
    }

    /// Waits at most so long for the files to change; `None` where nothing changed that matters.
    #[must_use]
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Changes> {
        match self.changes.as_ref()?.recv_timeout(timeout) {
            Ok(changes) => Some(changes),
            Err(RecvTimeoutError::Timeout) => None,
            // The thread ends only with this watcher. If it did fail, a caller's loop must not spin.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(timeout);
                None
            }
        }
    }
}

impl Drop for ManifestWatcher {
    fn drop(&mut self) {
        // First the receiver, in case the thread waits for room in the channel.
        self.changes = None;
        if self.signals.send(Signal::Stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

enum Signal {
    File(notify::Result<Event>),
    Stop,
}

/// The watcher was dropped.
struct Stopped;

/// What runs on the thread.
struct Follower {
    inotify: Inotify,
    set: ManifestSet,
    signals: Receiver<Signal>,
    changed: SyncSender<Changes>,
}

impl Follower {
    fn run(mut self) {
        while self.burst().is_ok() {
            let unwatched = self.inotify.update(self.set.paths());
            let mut changes = self.set.reload();
            changes
                .problems
                .extend(unwatched.into_iter().map(|(path, error)| unwatched_problem(&path, &error)));
            if !changes.is_empty() && self.changed.send(changes).is_err() {
                return;
            }
        }
    }

    /// Waits for a change that matters and then until its burst is over.
    fn burst(&self) -> Result<(), Stopped> {
        let mut burst: Option<Burst> = None;
        loop {
            let now = Instant::now();
            let signal = match burst.as_ref().map(|burst| burst.wait(now)) {
                None => self.signals.recv().map_err(|_| Stopped)?,
                Some(None) => return Ok(()),
                Some(Some(rest)) => match self.signals.recv_timeout(rest) {
                    Ok(signal) => signal,
                    Err(RecvTimeoutError::Timeout) => return Ok(()),
                    Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
                },
            };
            let Signal::File(event) = signal else { return Err(Stopped) };
            let now = Instant::now();
            match event {
                Ok(event) if event.need_rescan() => drop(burst.get_or_insert_with(|| Burst::new(now))),
                Ok(event) => {
                    let Some(change) = meaning(&event.kind) else { continue };
                    for path in event.paths.iter().filter(|path| self.inotify.wanted.concern(path)) {
                        burst.get_or_insert_with(|| Burst::new(now)).saw(change, path, now);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "inotify failed, reading all manifests again");
                    burst.get_or_insert_with(|| Burst::new(now));
                }
            }
        }
    }
}

/// What an event says of its file; `None` for one that changes nothing, as our own reading.
fn meaning(kind: &EventKind) -> Option<Change> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Change::Complete),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => Some(Change::Written),
        _ => Some(Change::Complete),
    }
}

fn unwatched_problem(path: &Path, error: &notify::Error) -> Problem {
    Place::file(path).problem(Severity::Error, format!("watching: {error}; changes in it may go unseen"))
}

/// Device and inode: the directory itself, whatever its path.
type Identity = (u64, u64);

/// The watches that exist, kept equal to those that are wanted.
struct Inotify {
    watcher: RecommendedWatcher,
    watched: BTreeMap<PathBuf, Identity>,
    wanted: Watches,
}

impl Inotify {
    /// Watches what must be watched now. Returns the directories that could not be.
    fn update(&mut self, paths: &[PathBuf]) -> Vec<(PathBuf, notify::Error)> {
        let mut failed = Vec::new();
        // A link that changes between being read and being watched would be missed, so the paths are
        // walked again until they lead where they led before; a few times, for they may never stand still.
        for walk in 0..4 {
            let wanted = Watches::of(paths);
            if walk > 0 && wanted == self.wanted && failed.is_empty() && self.all_alive() {
                break;
            }
            failed = self.watch(&wanted);
            self.wanted = wanted;
        }
        failed
    }

    /// True where each watched path is still the directory that was watched.
    fn all_alive(&self) -> bool {
        self.watched.iter().all(|(path, identity)| identify(path) == Some(*identity))
    }

    fn watch(&mut self, wanted: &Watches) -> Vec<(PathBuf, notify::Error)> {
        let before = mem::take(&mut self.watched);
        for (path, identity) in &before {
            let stays = wanted.directories().any(|directory| directory == path);
            if !stays || identify(path) != Some(*identity) {
                // The kernel drops the watch of a removed directory by itself.
                let _ = self.watcher.unwatch(path);
            }
        }
        let mut failed = Vec::new();
        for directory in wanted.directories() {
            // Identified first: if it is exchanged before or after the call, the next walk finds that
            // the path is not the directory noted here.
            let identity = identify(directory);
            // Also where it is watched already: notify forgets a directory that was moved away, even
            // if it came back. Watching twice is watching once.
            match self.watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => self.watched.extend(identity.map(|identity| (directory.to_owned(), identity))),
                Err(error) => failed.push((directory.to_owned(), error)),
            }
        }
        failed
    }
}

fn identify(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}
