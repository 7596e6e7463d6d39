//! A socket's view of the tables: it has no source address yet, and an affinity by its network namespace.

use super::text::From;
use proxy_common::{
    abi::{Address, AffinityClient},
    datapath::{Client, Origin},
};

pub struct SocketClient {
    pub from: From,
    /// The cookie of its network namespace.
    pub namespace: u64,
}

impl Client for SocketClient {
    fn origin(&self) -> Origin {
        self.from.origin()
    }

    fn address(&self) -> Option<Address> {
        None
    }

    fn affinity(&self) -> AffinityClient {
        AffinityClient::namespace(self.namespace)
    }
}
