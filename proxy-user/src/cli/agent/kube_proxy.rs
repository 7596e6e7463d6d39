//! When the agent looks for kube-proxy on its node, and what it says of it.

use crate::kernel::{self, Leftovers};
use std::time::{Duration, Instant};

/// A look costs some system calls, and nobody waits for it: a kube-proxy that comes back changes nothing for what
/// Shunt translates before it.
const EVERY: Duration = Duration::from_secs(30);

/// What was found last, and when to look again.
#[derive(Debug)]
pub struct KubeProxyWatch {
    due: Instant,
    found: Leftovers,
    /// That the kernel does not tell was said.
    said: bool,
}

impl KubeProxyWatch {
    /// Looks at once.
    pub fn new(now: Instant) -> Self {
        Self { due: now, found: Leftovers::default(), said: false }
    }

    /// When [`Self::look`] is to be called.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// What was found last: nothing, if all is well.
    #[cfg_attr(not(test), expect(dead_code, reason = "for metrics and Events, which are wired later"))]
    pub const fn found(&self) -> &Leftovers {
        &self.found
    }

    /// Looks, and logs what changed since the last look. True if something did.
    pub fn look(&mut self, now: Instant) -> bool {
        self.due = now + EVERY;
        match kernel::kube_proxy(true) {
            Ok(found) => self.take(found),
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    tracing::warn!("{error}; a kube-proxy beside Shunt goes unnoticed");
                }
                false
            }
        }
    }

    fn take(&mut self, found: Leftovers) -> bool {
        let changed = found != self.found;
        if changed {
            if found.is_empty() {
                tracing::info!("kube-proxy is gone from this node, with all that it had made");
            } else {
                tracing::warn!("{}", advice(&found));
            }
        }
        self.found = found;
        changed
    }
}

/// What is there, and what to do.
fn advice(found: &Leftovers) -> String {
    let remedy = match found.mode() {
        Some(mode) => format!(
            "keep kube-proxy off this node, then remove what its {mode} mode left with `kube-proxy --cleanup` there"
        ),
        None => "keep kube-proxy off this node, or whoever else listens there".to_owned(),
    };
    format!(
        "kube-proxy is on this node too, or was: {found}. Shunt translates first, and what it passes on meets those \
         rules: {remedy} (docs/migrate.md)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Family, Leftover};

    #[test]
    fn each_change_is_told_once() {
        let mut watch = KubeProxyWatch::new(Instant::now());
        let table = || [Leftover::Table(Family::Ip)].into_iter().collect::<Leftovers>();
        assert!(!watch.take(Leftovers::default()), "nothing there, nothing said");
        assert!(watch.take(table()));
        assert!(!watch.take(table()));
        assert_eq!(watch.found(), &table());
        assert!(watch.take(Leftovers::default()));
        assert!(!watch.take(Leftovers::default()));
    }

    #[test]
    fn the_advice_names_what_is_there_and_the_mode_that_made_it() {
        let found = [Leftover::Table(Family::Ip6)].into_iter().collect();
        let text = advice(&found);
        assert!(
            text.contains("nftables table ip6 kube-proxy") && text.contains("its nftables mode"),
            "{text}"
        );
        let text = advice(&[Leftover::Port(10_256)].into_iter().collect());
        assert!(text.contains("port 10256") && !text.contains("--cleanup"), "{text}");
    }
}
