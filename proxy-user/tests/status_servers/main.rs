//! The servers of probes and metrics, on loopback addresses, with a client of bytes; and what is said of metrics
//! elsewhere: the page of documentation, alert rules, the dashboard.
#![cfg(all(feature = "servers", feature = "lab"))]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod agent;
mod exposition;
#[path = "../golden/mod.rs"]
mod golden;
#[path = "../health_check_servers/http.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod http;
mod metrics;
mod monitoring;
mod names;
mod probes;
mod prometheus;
mod promtool;

use shunt::server::{ServerNews, ServerOptions};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What fails is tried again very soon.
fn options() -> ServerOptions {
    ServerOptions { retry: Duration::from_millis(20), ..ServerOptions::default() }
}

/// A free port of a loopback address.
fn free(address: &str) -> SocketAddr {
    let address = address.parse().unwrap();
    SocketAddr::new(address, http::free_port(address))
}

/// What a server has told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn listener(&self) -> impl FnMut(&ServerNews) + Send + 'static {
        let told = Arc::clone(&self.0);
        move |news: &ServerNews| told.lock().unwrap().push(news.to_string())
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
