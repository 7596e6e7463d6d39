//! Connected UDP sockets whose backend is gone: closed, so that their programs notice and connect again.
//!
//! A socket that is connected through a Service sends to its backend without asking any program. Once the
//! backend is removed it would talk to nobody for ever. REVERSE remembers which backend a socket reached
//! and in which generation, so the maps alone tell who is concerned, also of backends that went while no
//! agent ran: this is a reconcile, and needs no event.
//!
//! ```text
//! REVERSE ──find──▶ stale sockets ──round──▶ each network namespace: sock_diag, SOCK_DESTROY
//!    ▲                                                      │
//!    └──────────── entries that were dealt with ◀───────────┘
//! ```
//!
//! An entry that the LRU map has evicted is not known here: its socket stays as it is. A socket that also
//! talks to the backend's own address, connected, is taken for one that came through the Service.

mod find;
#[cfg(all(test, feature = "lab"))]
mod lab_tests;
mod namespaces;
mod reverse;
mod round;

use super::error::KernelError;
use super::maps::KernelMaps;
use crate::writer::MapReader;
use find::StaleSockets;
use proxy_common::abi::BackendEntry;
use reverse::Reverse;
use round::Round;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

/// What one call of [`close_stale_sockets`] did.
#[derive(Debug, Default)]
pub struct Closed {
    /// Connected UDP sockets that were closed: a waiting recv(2) fails with ECONNABORTED, and a send(2) with
    /// EDESTADDRREQ until the socket is connected again.
    pub closed: usize,
    /// Requests to close one: the kernel finds another one that shares all of its addresses at times.
    pub requests: usize,
    /// Entries of sockets that are not connected to the backend (any more), removed from REVERSE.
    pub forgotten: usize,
    /// Network namespaces that were looked at: none if no socket remembers a backend that is gone.
    pub namespaces: usize,
    /// Namespaces, or lists of them, that could not be looked at while sockets were left that may be there:
    /// those are remembered, for the next call.
    pub unreachable: Vec<(PathBuf, io::Error)>,
}

/// Closes the connected UDP sockets, in all network namespaces, whose backend was removed or can serve no
/// more. TCP connections are left alone, as kube-proxy leaves them.
///
/// Call it after a sync, and a moment later than the sync: a connect(2) that was under way then must have
/// ended, lest it be forgotten before it is connected. Calling it again does nothing. Where no backend has
/// gone it costs the reading of REVERSE, one system call per 4096 entries and one more.
///
/// It blocks: some 100 µs per namespace, if any socket is concerned. It needs CAP_SYS_ADMIN, CAP_NET_ADMIN,
/// CAP_SYS_PTRACE (to look at /proc/<pid>/ns of other users) and, in a container, the host's PID namespace.
///
/// # Errors
/// [`KernelError::Missing`] where the kernel cannot do it at all, [`KernelError::Privileges`], or
/// [`KernelError::Call`] of a call on REVERSE. What was not done is left for the next call.
pub fn close_stale_sockets(maps: &KernelMaps) -> Result<Closed, KernelError> {
    let (processes, names) = (Path::new(namespaces::PROCESSES), Path::new(namespaces::NAMES));
    reconcile(Reverse(&maps.reverse), |index| maps.backend(index), processes, names)
}

fn reconcile(
    reverse: Reverse<'_>,
    backend: impl Fn(u32) -> Option<BackendEntry>,
    processes: &Path,
    names: &Path,
) -> Result<Closed, KernelError> {
    let stale = StaleSockets::among(reverse.all()?, backend);
    if stale.0.is_empty() {
        return Ok(Closed::default());
    }
    let round = Round::new(reverse, stale);
    // setns(2) moves one thread: one of its own, which ends with the round.
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("shunt-sockets".to_owned())
            .spawn_scoped(scope, || round.run(processes, names))
            .map_err(|source| KernelError::Call { object: "a thread", call: "clone", source })?;
        thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}
