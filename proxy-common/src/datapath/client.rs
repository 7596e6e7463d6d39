//! Who asks: what a decision needs to know of the client.

use super::Tables;
use crate::abi::{Address, AffinityClient};

/// Where a new connection begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// In a pod of this node: any network namespace but the node's.
    Pod,
    /// In this node's own network namespace; pods with `hostNetwork` count as the node.
    Node,
    /// Elsewhere: it arrived as a packet from another machine.
    Outside,
}

/// The client of a new connection. Each answer is asked for only where it decides something.
pub trait Client {
    /// Where the connection begins.
    fn origin(&self) -> Origin;
    /// Whether it begins elsewhere. A socket's client knows that it does not, and need not ask where.
    #[inline(always)]
    fn is_outside(&self) -> bool {
        self.origin() as u8 == Origin::Outside as u8
    }
    /// The source address; `None` in a socket hook, where the kernel has not chosen one yet.
    fn address(&self) -> Option<Address>;
    /// Whose session affinity it is.
    fn affinity(&self) -> AffinityClient;
    /// The 32 bits that pick its endpoint: random, unless what is asked again must find the same one.
    #[inline(always)]
    fn draw<T: Tables>(&self, tables: &T) -> u32 {
        tables.random()
    }
}

/// A client known by its packets, or by what somebody says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketClient {
    /// Where the connection begins.
    pub origin: Origin,
    /// Its source address.
    pub address: Address,
}

impl Client for PacketClient {
    #[inline(always)]
    fn origin(&self) -> Origin {
        self.origin
    }

    #[inline(always)]
    fn address(&self) -> Option<Address> {
        Some(self.address)
    }

    #[inline(always)]
    fn affinity(&self) -> AffinityClient {
        AffinityClient::address(self.address)
    }
}
