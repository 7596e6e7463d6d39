//! One round through all network namespaces, closing the stale sockets of each.

use super::Closed;
use super::find::StaleSockets;
use super::namespaces;
use super::reverse::Reverse;
use crate::kernel::KernelError;
use crate::kernel::sys::{ConnectedUdp, SockDiag};
use ahash::AHashSet;
use proxy_common::abi::SocketKey;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::Path;

/// So many times in one namespace the kernel may find another socket than was asked for. A pod that lets very
/// many sockets share their addresses, in an order of its choice, would keep the agent busy for minutes: the
/// square of their number in system calls. What is left of them waits for the next call.
const MISSES: usize = 512;

/// What is left to do, and what was done.
#[derive(Debug)]
pub struct Round<'a> {
    reverse: Reverse<'a>,
    stale: StaleSockets,
    /// Found, but not under its addresses a moment later.
    missed: AHashSet<SocketKey>,
    closed: Closed,
    /// A namespace could be entered, whatever came of it there.
    entered: bool,
}

/// Why a namespace could not be done.
enum Trouble {
    /// The next one may do better.
    Here(io::Error),
    /// None will.
    Everywhere(KernelError),
}

impl<'a> Round<'a> {
    pub fn new(reverse: Reverse<'a>, stale: StaleSockets) -> Self {
        Self { reverse, stale, missed: AHashSet::new(), closed: Closed::default(), entered: false }
    }

    /// Visits every namespace until no stale socket is left, and forgets those that are nowhere. It leaves
    /// the calling thread in the last one.
    pub fn run(mut self, processes: &Path, names: &Path) -> Result<Closed, KernelError> {
        let mut outcome = Ok(());
        let _ = namespaces::each(processes, names, |path, namespace| {
            match namespace.map_err(Trouble::Here).and_then(|namespace| self.visit(&namespace)) {
                Ok(()) => self.closed.namespaces += 1,
                Err(Trouble::Here(error)) => self.closed.unreachable.push((path.to_owned(), error)),
                Err(Trouble::Everywhere(error)) => outcome = Err(error),
            }
            if outcome.is_err() || self.stale.0.is_empty() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        outcome?;
        if self.stale.0.is_empty() {
            // Nobody is left who could be there.
            self.closed.unreachable.clear();
        }
        match self.closed.unreachable.first() {
            None => self.forget_the_rest()?,
            Some((_, error)) if !self.entered && error.kind() == ErrorKind::PermissionDenied => {
                return Err(KernelError::Privileges { call: "setns", capability: "CAP_SYS_ADMIN" });
            }
            Some(_) => {}
        }
        Ok(self.closed)
    }

    fn visit(&mut self, namespace: &File) -> Result<(), Trouble> {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| Trouble::Here(error.into()))?;
        self.entered = true;
        let mut diag = SockDiag::open().map_err(trouble)?;
        let (mut misses, mut backwards) = (0, false);
        loop {
            let mut found = diag.connected_udp(|key| self.stale.0.contains_key(key)).map_err(trouble)?;
            if backwards {
                found.reverse();
            }
            let (closed, missed) = (self.closed.closed, misses);
            for socket in &found {
                if misses == MISSES {
                    self.missed.insert(socket.key());
                } else if !self.close(&mut diag, socket)? {
                    misses += 1;
                }
            }
            // Of sockets that share all addresses the kernel finds one: the next one once that is closed. The
            // order is as a rule that of the list, or the other way round.
            if misses == missed || misses == MISSES || self.closed.closed == closed {
                return Ok(());
            }
            backwards = !backwards;
        }
    }

    /// Closes a socket, unless it has reached a backend anew; false if the kernel did not find it.
    fn close(&mut self, diag: &mut SockDiag, socket: &ConnectedUdp) -> Result<bool, Trouble> {
        let key = socket.key();
        let Some(entry) = self.stale.0.get(&key).copied() else { return Ok(true) };
        // Whoever connects to the very same address between this look and the next call is closed all the
        // same, and connects again: some microseconds.
        if self.reverse.still_holds(&key, &entry)? {
            self.closed.requests += 1;
            if !diag.destroy(socket).map_err(trouble)? {
                self.missed.insert(key);
                return Ok(false);
            }
            self.closed.closed += 1;
            self.reverse.forget(&key, &entry)?;
        }
        self.missed.remove(&key);
        self.stale.0.remove(&key);
        Ok(true)
    }

    /// Unconnected and closed sockets: the first notice at their next send, the others never send again. A
    /// reply of the removed backend that comes late bears its own address, as behind kube-proxy, which
    /// clears its flows too.
    fn forget_the_rest(&mut self) -> Result<(), KernelError> {
        for (key, entry) in &self.stale.0 {
            if !self.missed.contains(key) && self.reverse.forget(key, entry)? {
                self.closed.forgotten += 1;
            }
        }
        Ok(())
    }
}

impl From<KernelError> for Trouble {
    fn from(error: KernelError) -> Self {
        Self::Everywhere(error)
    }
}

/// What a failure of [`SockDiag`] means.
fn trouble(error: io::Error) -> Trouble {
    match missing(&error) {
        Some(missing) => Trouble::Everywhere(KernelError::Missing { missing, meaning: MEANING }),
        None => Trouble::Here(error),
    }
}

const MEANING: &str = "a UDP socket that is connected to a removed backend stays so, and talks to nobody \
                       until its program connects it again";

/// What the kernel is built without. A namespace whose socket is gone is no such error: that is no error
/// at all ([`SockDiag::destroy`]).
fn missing(error: &io::Error) -> Option<&'static str> {
    match error.raw_os_error()? {
        libc::EPROTONOSUPPORT | libc::ENOENT => Some("udp_diag (CONFIG_INET_UDP_DIAG)"),
        libc::EOPNOTSUPP => Some("SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_sock_destroy_or_udp_diag_is_named_once_and_for_all() {
        let text = |errno| match trouble(io::Error::from_raw_os_error(errno)) {
            Trouble::Everywhere(error) => {
                assert!(error.is_environment(), "trying again will not help");
                Some(error.to_string())
            }
            Trouble::Here(_) => None,
        };
        assert_eq!(
            text(libc::EOPNOTSUPP).unwrap(),
            "the kernel has no SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY): a UDP socket that is connected to a \
             removed backend stays so, and talks to nobody until its program connects it again"
        );
        assert!(text(libc::ENOENT).unwrap().starts_with("the kernel has no udp_diag"));
        assert_eq!(text(libc::EPERM), None);
        assert_eq!(text(libc::EMFILE), None);
    }
}
