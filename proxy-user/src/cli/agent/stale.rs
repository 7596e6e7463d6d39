//! When the agent closes connected UDP sockets whose backend is gone, and what it says of it.

use crate::{dataplane::Dataplane, kernel::Closed, server::Metrics};
use std::time::{Duration, Instant};

/// So long after a sync every connect() that was under way has ended; and of changes that never end, not
/// each costs a look.
const DELAY: Duration = Duration::from_secs(1);

/// So long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// When to look next.
#[derive(Debug, Default)]
pub struct StaleSockets {
    due: Option<Instant>,
    /// A sync came while one was waited for: its sockets may need the whole delay.
    again: bool,
    /// The kernel cannot do it.
    impossible: bool,
    /// What cannot be looked at was said.
    said: bool,
}

impl StaleSockets {
    /// After a sync that may have removed backends, and after the first one, which tells what changed while
    /// no agent ran.
    pub fn synced(&mut self, now: Instant) {
        if self.due.is_some() {
            self.again = true;
        } else if !self.impossible {
            self.due = Some(now + DELAY);
        }
    }

    /// When [`Self::close`] is to be called.
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Closes them.
    pub fn close(&mut self, dataplane: &Dataplane, metrics: &Metrics, now: Instant) {
        self.due = std::mem::take(&mut self.again).then(|| now + DELAY);
        match dataplane.close_stale_sockets() {
            Ok(Closed { closed, forgotten, namespaces, unreachable, .. }) => {
                metrics.sockets_closed(closed);
                if closed > 0 {
                    tracing::info!(closed, "closed connected UDP sockets whose backend is gone");
                }
                tracing::debug!(
                    closed,
                    forgotten,
                    namespaces,
                    "looked for UDP sockets whose backend is gone"
                );
                if let Some((path, error)) = unreachable.first()
                    && !std::mem::replace(&mut self.said, true)
                {
                    let (path, others) = (path.display(), unreachable.len() - 1);
                    tracing::warn!(
                        "{path}: {error} (and {others} more): connected UDP sockets there stay connected to \
                         backends that are gone"
                    );
                }
            }
            Err(error) if error.is_environment() => {
                tracing::warn!("{error}");
                (self.impossible, self.due, self.again) = (true, None, false);
            }
            Err(error) => {
                tracing::warn!("{error}; connected UDP sockets of backends that are gone wait {RETRY:?}");
                self.due = Some(now + RETRY);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_never_end_are_looked_at_once_per_delay() {
        let start = Instant::now();
        let mut stale = StaleSockets::default();
        assert_eq!(stale.due(), None);
        stale.synced(start);
        stale.synced(start + DELAY / 2);
        assert_eq!(stale.due(), Some(start + DELAY), "later changes do not put it off");
        assert!(stale.again, "and are looked at themselves, once the delay is over for them too");
    }
}
