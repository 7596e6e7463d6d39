//! Health checks of load balancers: for each Service of type LoadBalancer with externalTrafficPolicy Local, a
//! small HTTP server on its `healthCheckNodePort`, which says whether this node has ready endpoints.
//!
//! Every path and method gets the same answer. What it says changes after the kernel's maps have, never before.

mod answer;
mod checked;
mod inbox;
mod keeper;
mod news;

pub use news::{News, Problem, Trouble};

use super::ProxyHealth;
use crate::engine::HealthReport;
use inbox::Inbox;
use keeper::Keeper;
use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

/// How the servers behave.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How soon it is tried again to listen where that failed.
    pub retry: Duration,
}

impl Default for Options {
    /// As often as kube-proxy tries its other ports.
    fn default() -> Self {
        Self { retry: Duration::from_secs(5) }
    }
}

/// The servers, on a thread of their own: an answer never waits for the kernel's maps. Their sockets belong to
/// the network namespace in which they were started. Dropping it closes all of them.
#[derive(Debug)]
pub struct HealthCheckServers {
    /// Closed first, which ends the thread.
    reports: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

impl HealthCheckServers {
    /// Starts without any. `tell` is called on their thread with what goes wrong and what is mended.
    ///
    /// # Errors
    /// Where a thread or its runtime cannot be made.
    pub fn start(
        options: Options,
        health: Arc<ProxyHealth>,
        tell: impl FnMut(&News) + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let reports = Arc::new(Inbox::default());
        let received = Arc::clone(&reports);
        let keeper = Keeper::new(health, options.retry, tell);
        let serve = move || runtime.block_on(keeper.run(&received));
        let thread = thread::Builder::new().name("servers".to_owned()).spawn(serve)?;
        Ok(Self { reports, thread: Some(thread) })
    }

    /// Answers from now on what a sync has reported. Does not wait until it does.
    pub fn follow(&self, report: HealthReport) {
        if report == HealthReport::default() {
            return;
        }
        self.reports.put(report);
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            tracing::error!("the thread that answers health checks has ended");
        }
    }
}

impl Drop for HealthCheckServers {
    fn drop(&mut self) {
        self.reports.close();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that answered health checks panicked");
        }
    }
}
