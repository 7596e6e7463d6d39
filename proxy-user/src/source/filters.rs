//! Filters and qdiscs of this node's devices, heard of over netlink: that something changed about them, not what.

use super::netlink::{Followed, Follower, NetlinkError};

/// Hears of changes in the network namespace that it was started in, on a thread of its own.
#[derive(Debug)]
pub struct FilterFollower(Follower<Filters>);

impl FilterFollower {
    /// Begins to listen.
    ///
    /// # Errors
    /// Of the first call that failed.
    pub fn start() -> Result<Self, NetlinkError> {
        let (follower, _) = Follower::start()?;
        Ok(Self(follower))
    }

    /// Waits for the next change, or the next few at once; for ever once the thread has ended.
    pub async fn next(&mut self) {
        self.0.next().await;
    }
}

/// How often something changed.
#[derive(Debug)]
struct Filters(u64);

impl Followed for Filters {
    type List = u64;
    const WHAT: &str = "the filters of this node's devices";
    const THREAD: &str = "filters";
    /// RTMGRP_TC.
    const GROUPS: u32 = 0x8;

    /// Classes and actions are of no concern.
    fn concerns(notification: &[u8]) -> bool {
        let kind = notification.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
        matches!(
            kind,
            Some(libc::RTM_NEWQDISC | libc::RTM_DELQDISC | libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER)
        )
    }

    fn new() -> Result<Self, NetlinkError> {
        Ok(Self(0))
    }

    fn list(&mut self) -> Result<u64, NetlinkError> {
        self.0 = self.0.wrapping_add(1);
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_qdiscs_matter_and_classes_do_not() {
        let notification = |kind: u16| {
            let mut bytes = [0; 32];
            bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
            bytes
        };
        for kind in [libc::RTM_NEWQDISC, libc::RTM_DELQDISC, libc::RTM_NEWTFILTER, libc::RTM_DELTFILTER] {
            assert!(Filters::concerns(&notification(kind)));
        }
        assert!(!Filters::concerns(&notification(libc::RTM_NEWTCLASS)) && !Filters::concerns(&[0; 5]));
    }
}
