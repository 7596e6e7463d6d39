//! When the agent looks for kube-proxy on its node, and what it says of it.

use super::{Teller, handover::Handover};
use crate::{
    kernel::{self, Leftovers},
    recorder::{Notice, Reason},
};
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
    handover: Handover,
}

impl KubeProxyWatch {
    /// Looks at once. `handover`: a former agent has left connections of kube-proxy's to the kernel.
    pub fn new(handover: bool, now: Instant) -> Self {
        let handover = Handover::new(handover, now);
        Self { due: now, found: Leftovers::default(), said: false, handover }
    }

    /// When [`Self::look`] is to be called.
    pub const fn due(&self) -> Instant {
        self.due
    }

    /// Looks, and tells what changed since the last look. Whether connections that nobody here has begun are to be left
    /// to the kernel, since kube-proxy may have begun them.
    pub fn look(&mut self, teller: &Teller, now: Instant) -> bool {
        self.due = now + EVERY;
        match kernel::kube_proxy(true) {
            Ok(found) => {
                if let Some(advice) = self.take(found) {
                    teller.record([Notice::node(Reason::KubeProxyFound, advice)]);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    tracing::warn!("{error}; a kube-proxy beside Shunt goes unnoticed");
                }
            }
        }
        self.handover.looked(self.found.mode().is_some(), now)
    }

    /// What to say of what was found, if it is something else than before.
    fn take(&mut self, found: Leftovers) -> Option<String> {
        let before = std::mem::replace(&mut self.found, found);
        if self.found == before {
            return None;
        }
        if self.found.is_empty() {
            tracing::info!("kube-proxy is gone from this node, with all that it had made");
            return None;
        }
        let advice = advice(&self.found);
        tracing::warn!("{advice}");
        Some(advice)
    }
}

/// What is there, and what to do.
fn advice(found: &Leftovers) -> String {
    let remedy = match found.mode() {
        Some(mode) => format!(
            "keep kube-proxy off this node, then remove what its {mode} mode left with `shunt cleanup --kube-proxy` there"
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
        let mut watch = KubeProxyWatch::new(false, Instant::now());
        let table = || [Leftover::Table(Family::Ip)].into_iter().collect::<Leftovers>();
        assert_eq!(watch.take(Leftovers::default()), None, "nothing there, nothing said");
        assert!(watch.take(table()).is_some());
        assert_eq!(watch.take(table()), None);
        assert_eq!(watch.take(Leftovers::default()), None);
        assert!(watch.take(table()).is_some(), "it came back");
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
        assert!(text.contains("port 10256") && !text.contains("cleanup"), "{text}");
    }
}
