//! Brings the changes of manifests, which a thread follows, to the agent's task.

use crate::source::manifests::{Changes, ManifestError, ManifestWatcher};
use std::{path::PathBuf, thread, time::Duration};
use tokio::sync::mpsc::{Receiver, channel};

/// How soon the thread notices that nobody listens any more.
const LISTENING: Duration = Duration::from_secs(1);

/// A stream of changes.
pub struct Follower {
    changes: Receiver<Changes>,
}

impl Follower {
    /// Reads the manifests, and follows them from then on.
    ///
    /// # Errors
    /// Where a path cannot be read.
    pub fn start(paths: Vec<PathBuf>) -> Result<(Self, Changes), ManifestError> {
        let (watcher, first) = ManifestWatcher::start(paths)?;
        // One waits at most: while the agent is busy, later ones are read as one.
        let (sender, changes) = channel(1);
        thread::spawn(move || {
            while !sender.is_closed() {
                if let Some(changes) = watcher.recv_timeout(LISTENING) {
                    // Nobody listens only at the end of the process.
                    let _ = sender.blocking_send(changes);
                }
            }
        });
        Ok((Self { changes }, first))
    }

    /// The next changes; waits for ever once the thread has ended.
    pub async fn next(&mut self) -> Changes {
        match self.changes.recv().await {
            Some(changes) => changes,
            None => std::future::pending().await,
        }
    }
}
