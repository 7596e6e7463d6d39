//! Between reading the credentials, which may fail, and asking, which goes on until it succeeds: who starts both has
//! something to do in between.

use super::{
    connect::Origin,
    error::KubeError,
    options::{Options, Pinned},
    problem::{About, Problem},
    random::Random,
    servers::Servers,
    source::KubeSource,
};
use crate::source::Severity;
use std::{sync::Arc, time::Duration};

/// Credentials that could be read, and the API servers that they are for. Nobody was asked yet.
pub struct Credentials {
    pub(super) options: Options,
    pub(super) servers: Arc<Servers>,
    pub(super) random: Random,
    /// Of what was read.
    pub(super) problems: Vec<Problem>,
}

impl Credentials {
    /// Reads them, and runs an exec plugin where there is one.
    ///
    /// # Errors
    /// Credentials that cannot be read or make no sense; see [`KubeError`].
    pub async fn read(options: Options) -> Result<Self, KubeError> {
        if options.node.is_empty() {
            return Err(KubeError::NoNode);
        }
        let random = options.seed.map_or_else(Random::fresh, Random::seeded);
        let mut random = random.with_jitter(options.jitter);
        let origin = Origin::of(&options)?;
        let on_cluster_ip = origin.is_cluster_ip();
        let servers = Arc::new(Servers::new(origin, &mut random).await?);
        let mut problems = Vec::new();
        if on_cluster_ip {
            let text = format!(
                "API server {}: that is a Service, which some proxy must serve before this one can; give the servers' \
                 own addresses by --api-server",
                servers.current().url
            );
            problems.push(Problem::new(Severity::Warning, About::Server, text));
        }
        Ok(Self { options, servers, random, problems })
    }

    /// Says what an earlier agent left in the kernel: first lists are measured by it, and where there is nothing that
    /// serves meanwhile, they are asked for at once.
    #[must_use]
    pub fn over(mut self, pinned: Pinned) -> Self {
        self.options.pinned = pinned;
        if pinned.services == 0 {
            self.options.startup_spread = Duration::ZERO;
        }
        self
    }

    /// Begins to follow the API server; see [`KubeSource::start`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O.
    #[must_use]
    pub fn start(self) -> KubeSource {
        KubeSource::follow(self)
    }
}
