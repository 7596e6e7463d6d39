//! Ctrl-C and its kin: the demo ends at the next look, and what it made is dropped on the way out.

use std::{
    io, process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};
use tokio::signal::unix::{SignalKind, signal};

/// Whether the demo was told to end.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

/// The demo was told to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Interrupt {
    /// Takes SIGINT, SIGTERM and SIGHUP from now on. A second one ends the process at once; the next
    /// demo removes what is left then.
    ///
    /// # Errors
    /// Where no handler or thread can be made.
    pub fn catch() -> io::Result<Self> {
        let caught = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [mut interrupt, mut terminate, mut hangup] = {
            // A handler belongs to the runtime it was made in.
            let _entered = runtime.enter();
            let [interrupt, terminate, hangup] = kinds.map(signal);
            [interrupt?, terminate?, hangup?]
        };
        let flag = Arc::clone(&caught);
        thread::Builder::new().name("demo-signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    if flag.swap(true, Ordering::Relaxed) {
                        process::exit(i32::from(super::EXIT_INTERRUPTED));
                    }
                }
            });
        })?;
        Ok(Self(caught))
    }

    /// Ends what is under way, once a signal has come.
    ///
    /// # Errors
    /// [`Interrupted`] then.
    pub fn check(&self) -> Result<(), Interrupted> {
        if self.is_caught() { Err(Interrupted) } else { Ok(()) }
    }

    /// True once a signal has come.
    pub fn is_caught(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
