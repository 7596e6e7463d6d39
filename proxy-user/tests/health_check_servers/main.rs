//! The servers of health checks alone, on loopback addresses, with a client of bytes.
#![cfg(feature = "servers")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod answers;
mod http;
mod listeners;

use http::wait_until;
use shunt::{
    engine::{HealthChange, HealthReport},
    model::ObjectName,
    select::HealthCheck,
    server::{HealthCheckServers, News, Options, ProxyHealth},
};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Servers, and all that they told.
struct Servers {
    servers: HealthCheckServers,
    health: Arc<ProxyHealth>,
    news: Arc<Mutex<Vec<String>>>,
}

impl Servers {
    /// On these addresses; what fails is tried again very soon.
    fn start(addresses: &[&str]) -> Self {
        let (health, news) = (Arc::new(ProxyHealth::default()), Arc::default());
        let said: Arc<Mutex<Vec<String>>> = Arc::clone(&news);
        let tell = move |news: &News| {
            let mut said = said.lock().unwrap();
            said.extend(news.failed.iter().map(ToString::to_string));
            said.extend(news.mended.iter().map(|(service, port)| format!("{service} on {port} is mended")));
        };
        let options = Options { retry: Duration::from_millis(20) };
        let servers = HealthCheckServers::start(options, Arc::clone(&health), tell).unwrap();
        let servers = Self { servers, health, news };
        servers.listen_on(addresses);
        servers
    }

    fn listen_on(&self, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.servers.follow(HealthReport { changes: Vec::new(), addresses: Some(addresses) });
    }

    /// Changes of several Services at once.
    fn change(&self, changes: &[(&str, Check)]) {
        let change = |(service, check): &(&str, Check)| HealthChange {
            service: name(service),
            check: check.map(|(port, ready)| HealthCheck { port, ready }),
        };
        let changes = changes.iter().map(change).collect();
        self.servers.follow(HealthReport { changes, addresses: None });
    }

    fn news(&self) -> Vec<String> {
        self.news.lock().unwrap().clone()
    }

    /// Waits until so much was told, and gives back all of it.
    fn wait_for_news(&self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} pieces of news"), || self.news().len() >= count);
        self.news()
    }
}

/// Port, and ready endpoints of IPv4 and IPv6; `None` for a Service that has no health check any more.
type Check = Option<(u16, [Option<u32>; 2])>;

fn name(service: &str) -> ObjectName {
    ObjectName::new("default", service)
}

/// An IPv4 Service with so many ready endpoints.
const fn ready(port: u16, count: u32) -> Check {
    Some((port, [Some(count), None]))
}
