//! The server of /metrics and of what else kube-proxy has on that port.

use super::{api::ApiSnapshot, kernel::KernelReader, state::Metrics, text::Format};
use crate::server::{
    kept::{Kept, ServerNews, ServerOptions},
    plain::{not_found, text, with_type},
};
use hyper::{Request, Response, body::Incoming, header};
use std::{
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

/// What `/proxyMode` says. Whoever reads it looks for the traces of one of kube-proxy's modes (`iptables`, `ipvs`, `nftables`),
/// none of which are here; a name that is none of these makes it look for none.
pub const PROXY_MODE: &str = "shunt";

/// What is told beside [`Metrics`].
#[derive(Default)]
pub struct MetricsPages {
    /// Asked at each scrape; without it metrics from the kernel are left out.
    pub kernel: Option<KernelReader>,
    /// Asked at each scrape; without it metrics of the API server are left out.
    pub api: Option<Box<dyn Fn() -> ApiSnapshot + Send + Sync>>,
    /// The configuration in effect, as JSON.
    pub configz: String,
}

impl std::fmt::Debug for MetricsPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsPages").field("kernel", &self.kernel).finish_non_exhaustive()
    }
}

/// Answers `/metrics`, `/healthz`, `/proxyMode` and `/configz`, on a thread of its own: neither the agent's loop nor a
/// probe waits for a scrape. Dropping it frees the port.
#[derive(Debug)]
pub struct MetricsServer(Kept);

impl MetricsServer {
    /// Listens on an address (kube-proxy's default is 127.0.0.1:10249) in the network namespace of the calling
    /// thread, which should be the node's; 0.0.0.0 and `[::]` both mean all addresses of both families. Where that fails, it
    /// is tried again. `tell` is called on the server's thread with what goes wrong and what is mended.
    ///
    /// # Errors
    /// Where a thread or its runtime cannot be made.
    pub fn start(
        address: SocketAddr,
        options: ServerOptions,
        metrics: Metrics,
        pages: MetricsPages,
        tell: impl FnMut(&ServerNews) + Send + 'static,
    ) -> io::Result<Self> {
        let MetricsPages { kernel, api, configz } = pages;
        let site = Site { metrics, kernel: kernel.map(Mutex::new), api, configz };
        let answer = move |request: &Request<Incoming>| {
            let accept = request.headers().get_all(header::ACCEPT).iter();
            let accept: Vec<_> = accept.filter_map(|value| value.to_str().ok()).collect();
            site.answer(request.uri().path(), &accept.join(","))
        };
        Kept::start("metrics", address, options, answer, tell).map(Self)
    }

    /// Ends it; on return its port is free.
    pub fn close(self) {
        self.0.close();
    }
}

struct Site {
    metrics: Metrics,
    kernel: Option<Mutex<KernelReader>>,
    api: Option<Box<dyn Fn() -> ApiSnapshot + Send + Sync>>,
    configz: String,
}

impl Site {
    fn answer(&self, path: &str, accept: &str) -> Response<String> {
        match path {
            "/metrics" => {
                let format = Format::accepted(accept);
                with_type(self.scrape(format), format.content_type())
            }
            "/healthz" => text("ok"),
            "/proxyMode" => text(PROXY_MODE),
            "/configz" => with_type(self.configz.as_str(), "application/json"),
            _ => not_found(),
        }
    }

    fn scrape(&self, format: Format) -> String {
        let kernel = self.kernel.as_ref().and_then(|reader| {
            let read = reader.lock().unwrap_or_else(PoisonError::into_inner).read();
            read.inspect_err(|error| {
                tracing::debug!("{error}; a scrape goes without what the kernel says");
                self.metrics.unreadable();
            })
            .ok()
        });
        self.metrics.encode(format, kernel, self.api.as_ref().map(|api| api()))
    }
}
