//! The thread behind a server, and the eventfd that ends it.

use rustix::event::{EventfdFlags, eventfd};
use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    thread::{self, JoinHandle},
};

/// A thread that runs until its eventfd becomes readable.
#[derive(Debug)]
pub(super) struct Worker {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts `work`, which returns soon after the eventfd it is given becomes readable.
    pub fn start(work: impl FnOnce(&OwnedFd) -> io::Result<()> + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let theirs = Arc::clone(&stop);
        let thread = thread::Builder::new().name("lab-server".to_owned()).spawn(move || {
            if let Err(error) = work(&theirs) {
                tracing::error!(%error, "a lab server ended");
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the thread and waits for it; once ended, does nothing.
    pub fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if let Err(error) = rustix::io::write(&self.stop, &1_u64.to_ne_bytes()) {
            // Waiting would be for ever.
            tracing::error!(%error, "a lab server cannot be told to end");
            return;
        }
        if thread.join().is_err() {
            tracing::error!("a lab server panicked");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}
