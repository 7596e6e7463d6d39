//! Which API server is asked now, and its client.

use super::{connect::Origin, error::KubeError, random::Random};
use http::Uri;
use kube::Client;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The API servers.
pub(super) struct Servers {
    origin: Origin,
    state: Mutex<State>,
}

struct State {
    servers: Vec<Server>,
    current: usize,
}

struct Server {
    url: Uri,
    client: Client,
    /// How often its credentials were read.
    generation: u64,
}

/// The server that is asked.
pub(super) struct Current {
    pub(super) client: Client,
    pub(super) url: Uri,
    index: usize,
    generation: u64,
}

impl Servers {
    /// Reads the credentials; of several servers, any may be the first.
    pub(super) async fn new(origin: Origin, random: &mut Random) -> Result<Self, KubeError> {
        let mut servers = Vec::new();
        for url in origin.servers().await? {
            let client = origin.client(&url).await?;
            servers.push(Server { url, client, generation: 0 });
        }
        let current = random.below(servers.len());
        Ok(Self { origin, state: Mutex::new(State { servers, current }) })
    }

    /// The server that is asked now.
    pub(super) fn current(&self) -> Current {
        let state = self.state();
        let index = state.current;
        let Server { url, client, generation } = &state.servers[index];
        Current { client: client.clone(), url: url.clone(), index, generation: *generation }
    }

    /// A server failed: the next one is asked, unless another kind has already seen to it. True where that is
    /// another one.
    pub(super) fn failed(&self, failed: &Current) -> bool {
        let mut state = self.state();
        if state.current != failed.index || state.servers.len() < 2 {
            return false;
        }
        state.current = (failed.index + 1) % state.servers.len();
        true
    }

    /// A server does not accept the credentials: they are read again, unless another kind has already seen to it.
    pub(super) async fn renew(&self, refused: &Current) -> Result<(), KubeError> {
        if self.state().servers[refused.index].generation != refused.generation {
            return Ok(());
        }
        let client = self.origin.client(&refused.url).await?;
        let mut state = self.state();
        let server = &mut state.servers[refused.index];
        if server.generation == refused.generation {
            (server.client, server.generation) = (client, refused.generation + 1);
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
