//! The server of /healthz, /livez and /readyz.

use super::answer::Probe;
use crate::server::{
    Metrics, ProxyHealth,
    kept::{Kept, ServerNews, ServerOptions},
    plain::not_found,
};
use hyper::{Request, Response, body::Incoming};
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// Answers `/healthz`, `/livez` and `/readyz`, on a thread of its own: also while a sync hangs, which is what it is
/// asked about. Dropping it frees the port.
#[derive(Debug)]
pub struct HealthServer(Kept);

impl HealthServer {
    /// Listens on an address (kube-proxy's default is 0.0.0.0:10256) in the network namespace of the calling
    /// thread; 0.0.0.0 and `[::]` both mean all addresses of both families. Where that fails, it is tried again. `tell`
    /// is called on the server's thread with what goes wrong and what is mended.
    ///
    /// # Errors
    /// Where a thread or its runtime cannot be made.
    pub fn start(
        address: SocketAddr,
        options: ServerOptions,
        health: Arc<ProxyHealth>,
        metrics: Metrics,
        tell: impl FnMut(&ServerNews) + Send + 'static,
    ) -> io::Result<Self> {
        let answer = move |request: &Request<Incoming>| answer(request.uri().path(), &health, &metrics);
        Kept::start("healthz", address, options, answer, tell).map(Self)
    }

    /// Ends it; on return its port is free.
    pub fn close(self) {
        self.0.close();
    }
}

fn answer(path: &str, health: &ProxyHealth, metrics: &Metrics) -> Response<String> {
    let Some(probe) = Probe::of(path) else { return not_found() };
    let response = probe.answer(&health.status(Instant::now()), SystemTime::now());
    metrics.probed(probe, response.status().is_success());
    response
}
