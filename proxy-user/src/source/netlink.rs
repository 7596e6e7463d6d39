//! Something that the kernel tells of by rtnetlink, followed live on a thread of its own.
//!
//! A notification only says that something changed; the whole list is read then. So one that is lost, which
//! the kernel reports as ENOBUFS, costs nothing.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, recv,
        socket_with,
    },
};
use std::{
    io,
    os::fd::OwnedFd,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::watch::{self, Receiver, Sender};

/// Changes come in crowds (an interface that goes down loses all its addresses): the list is read once they
/// have been quiet for so long, but not later than [`LATEST`] after the first.
const QUIET: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(1);

/// How soon a list that could not be read is read again, and how soon the thread notices that nobody listens
/// any more.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// A system call of netlink failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {call}: {source}")]
pub struct NetlinkError {
    /// What is followed.
    pub what: &'static str,
    /// The call, or the request.
    pub call: &'static str,
    /// What the kernel said.
    pub source: io::Error,
}

/// What to follow.
pub(super) trait Followed: Send + 'static {
    /// The whole of it.
    type List: PartialEq + Clone + Send + Sync + 'static;
    /// Its name, for errors.
    const WHAT: &str;
    /// Name of the thread; the kernel shows 15 bytes.
    const THREAD: &str;
    /// RTMGRP groups of linux/rtnetlink.h that hear of changes.
    const GROUPS: u32;

    /// Whether a list says so much more than the last that it is told at once, before the changes are over.
    fn is_urgent(_last: &Self::List, _now: &Self::List) -> bool {
        false
    }

    /// Whether a notification, of which the first bytes are given, may mean a change.
    fn concerns(notification: &[u8]) -> bool;

    /// Begins in the network namespace of the calling thread.
    fn new() -> Result<Self, NetlinkError>
    where
        Self: Sized;

    /// Reads the list.
    fn list(&mut self) -> Result<Self::List, NetlinkError>;
}

/// Follows it in the network namespace that it was started in.
#[derive(Debug)]
pub(super) struct Follower<F: Followed> {
    /// The last one: those before it are of no use to anybody.
    lists: Receiver<Option<F::List>>,
}

impl<F: Followed> Follower<F> {
    /// Begins to follow; the list is that of now.
    pub fn start() -> Result<(Self, F::List), NetlinkError> {
        let failed = |source| NetlinkError { what: F::WHAT, call: "clone", source };
        let (first, started) = std::sync::mpsc::sync_channel(1);
        let (sender, lists) = watch::channel(None);
        let follow = move || match Follow::<F>::start() {
            Ok((mut follow, list)) => {
                let _ = first.send(Ok(list));
                follow.run(&sender);
            }
            Err(error) => {
                let _ = first.send(Err(error));
            }
        };
        thread::Builder::new().name(F::THREAD.to_owned()).spawn(follow).map_err(failed)?;
        let list = started.recv().map_err(|_| failed(io::ErrorKind::BrokenPipe.into()))??;
        Ok((Self { lists }, list))
    }

    /// The newest list, once there is one that was not given yet; waits for ever once the thread has ended.
    /// Cancel-safe.
    pub async fn next(&mut self) -> F::List {
        if self.lists.changed().await.is_ok()
            && let Some(list) = self.lists.borrow_and_update().clone()
        {
            return list;
        }
        std::future::pending().await
    }
}

/// What the thread has.
pub(super) struct Follow<F: Followed> {
    notifications: OwnedFd,
    pub followed: F,
    /// What was reported last.
    reported: F::List,
}

impl<F: Followed> Follow<F> {
    pub fn start() -> Result<(Self, F::List), NetlinkError> {
        let notifications = subscribe::<F>()?;
        let mut followed = F::new()?;
        // Read after the subscription, so that no change falls between the two.
        let reported = followed.list()?;
        Ok((Self { notifications, followed, reported: reported.clone() }, reported))
    }

    /// Reports changes for as long as somebody listens.
    fn run(&mut self, listener: &Sender<Option<F::List>>) {
        let mut changed = false;
        while !listener.is_closed() {
            changed |= self.notified(PAUSE);
            if !changed {
                continue;
            }
            self.report_what_is_urgent(listener);
            let latest = Instant::now() + LATEST;
            while Instant::now() < latest && self.notified(QUIET) {}
            match self.followed.list() {
                Ok(list) => {
                    changed = false;
                    if list != self.reported {
                        self.reported.clone_from(&list);
                        listener.send_replace(Some(list));
                    }
                }
                Err(error) => tracing::warn!("{error}; tried again in {PAUSE:?}"),
            }
        }
    }

    /// Reports a list at once that cannot wait. What it does not have yet comes with the next.
    fn report_what_is_urgent(&mut self, listener: &Sender<Option<F::List>>) {
        if let Ok(list) = self.followed.list()
            && F::is_urgent(&self.reported, &list)
        {
            self.reported.clone_from(&list);
            listener.send_replace(Some(list));
        }
    }

    /// Waits for a notification, at most so long, and reads all that are there. A socket that cannot be read
    /// says nothing any more; then the list is read at every pause.
    pub fn notified(&self, longest: Duration) -> bool {
        let mut wait = [PollFd::new(&self.notifications, PollFlags::IN)];
        // Neither QUIET nor PAUSE is out of a timespec's range.
        let timeout = Timespec::try_from(longest).ok();
        match poll(&mut wait, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => return false,
            Ok(_) => {}
            Err(_) => thread::sleep(longest),
        }
        // A longer message is cut off: its beginning is enough.
        let mut buffer = [0_u8; 512];
        let mut concerned = false;
        loop {
            match recv(&self.notifications, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((read, _)) => concerned |= F::concerns(buffer.get(..read).unwrap_or_default()),
                // Some did not fit, and nobody knows what they said.
                Err(Errno::NOBUFS) => concerned = true,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return concerned,
                Err(errno) => {
                    tracing::warn!("{}: recv: {errno}", F::WHAT);
                    thread::sleep(longest);
                    return true;
                }
            }
        }
    }
}

/// A socket that hears of changes.
pub(super) fn subscribe<F: Followed>() -> Result<OwnedFd, NetlinkError> {
    let failed = |call| move |errno: Errno| NetlinkError { what: F::WHAT, call, source: errno.into() };
    // `None` is protocol 0, NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .map_err(failed("socket(AF_NETLINK)"))?;
    bind(&socket, &SocketAddrNetlink::new(0, F::GROUPS)).map_err(failed("bind(AF_NETLINK)"))?;
    Ok(socket)
}
