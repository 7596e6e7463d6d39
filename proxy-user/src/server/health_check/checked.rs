//! One Service whose health checks are answered.

use super::{answer::answer, news::Trouble};
use crate::{
    model::{Family, ObjectName},
    select::HealthCheck,
    server::{ProxyHealth, http::HttpServer, listen::listen},
};
use rustix::io::Errno;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

/// What its servers read at each request.
struct Told {
    service: ObjectName,
    /// In the order of [`Family::BOTH`].
    ready: [AtomicU32; 2],
    health: Arc<ProxyHealth>,
}

/// A Service, and a server on each address where it is answered.
pub(super) struct Checked {
    check: HealthCheck,
    told: Arc<Told>,
    servers: BTreeMap<IpAddr, HttpServer>,
    /// What was reported of it, and when.
    pub reported: Option<(Trouble, Instant)>,
}

impl Checked {
    /// Answered nowhere yet.
    pub fn new(service: ObjectName, check: HealthCheck, health: Arc<ProxyHealth>) -> Self {
        let ready = check.ready.map(|ready| AtomicU32::new(ready.unwrap_or(0)));
        let told = Arc::new(Told { service, ready, health });
        Self { check, told, servers: BTreeMap::new(), reported: None }
    }

    pub const fn port(&self) -> u16 {
        self.check.port
    }

    /// Takes what is answered from now on, at the same port.
    pub fn update(&mut self, check: HealthCheck) {
        self.check = check;
        for (told, ready) in self.told.ready.iter().zip(check.ready) {
            told.store(ready.unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Closes what is not wanted any more, and listens on what lacks; gives back what is wrong.
    pub async fn open(&mut self, addresses: &[IpAddr]) -> Option<Trouble> {
        let is_served = |address: &&IpAddr| self.check.ready(Family::of(address)).is_some();
        let wanted: Vec<IpAddr> = addresses.iter().filter(is_served).copied().collect();
        let gone: Vec<IpAddr> =
            self.servers.keys().filter(|address| !wanted.contains(address)).copied().collect();
        for address in gone {
            if let Some(server) = self.servers.remove(&address) {
                server.close().await;
            }
        }
        let mut trouble = wanted.is_empty().then_some(Trouble::NoAddress);
        for address in wanted {
            if self.servers.contains_key(&address) {
                continue;
            }
            match listen(SocketAddr::new(address, self.check.port)) {
                Ok(listener) => {
                    let (told, family) = (Arc::clone(&self.told), Family::of(&address));
                    let server = HttpServer::start(listener, move |_| told.answer(family));
                    self.servers.insert(address, server);
                }
                // A kernel without IPv6 has no address on which one could ask.
                Err(Errno::AFNOSUPPORT) if address.is_unspecified() => {}
                Err(error) => drop(trouble.get_or_insert(Trouble::Listen(address, error))),
            }
        }
        trouble
    }

    /// Frees its port on every address.
    pub async fn close(&mut self) {
        for (_, server) in std::mem::take(&mut self.servers) {
            server.close().await;
        }
    }
}

impl Told {
    fn answer(&self, family: Family) -> hyper::Response<String> {
        let ready = self.ready[family as usize].load(Ordering::Relaxed);
        answer(&self.service, ready, self.health.is_healthy(Instant::now()))
    }
}
