//! What is asked: who dials what.

use crate::model::Protocol;
use proxy_common::{
    abi::{Address, AffinityClient, AffinityKey, Network, SocketPeer},
    datapath::{Client, Lookup, Origin, Tables, find_frontend},
};
use std::net::{IpAddr, SocketAddr};

/// A new connection, or the first datagram of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question {
    /// What is dialled.
    pub destination: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// Where the connection begins.
    pub origin: Origin,
    /// The client's address, where it matters: source ranges and session affinity ask for it.
    pub source: Option<IpAddr>,
}

impl Question {
    /// What is dialled, as the tables have it.
    pub(super) fn peer(&self) -> SocketPeer {
        SocketPeer::new(self.destination.ip().into(), self.destination.port().to_be())
    }

    /// What is dialled, an IPv4-mapped address as the IPv4 address that it means.
    pub(super) fn address(&self) -> IpAddr {
        self.destination.ip().to_canonical()
    }

    /// `80/TCP`.
    pub(super) fn port(&self) -> String {
        format!("{}/{}", self.destination.port(), self.protocol)
    }
}

impl Client for Question {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn address(&self) -> Option<Address> {
        self.source.map(Address::from)
    }

    fn affinity(&self) -> AffinityClient {
        // No network namespace has the cookie zero, so a client without an address has no affinity yet.
        self.source.map_or(AffinityClient::namespace(0), |source| AffinityClient::address(source.into()))
    }
}

/// The memory that decides for this client, if it has one: that of the service port that is dialled.
#[must_use]
pub fn affinity_key(maps: &impl Tables, question: &Question) -> Option<AffinityKey> {
    match find_frontend(maps, question, &question.peer(), question.protocol as u8) {
        Lookup::Frontend(frontend) => {
            Some(AffinityKey { client: question.affinity(), service: frontend.service })
        }
        _ => None,
    }
}

/// What speaks against the source address that a question names: the node knows it as somebody else's.
#[must_use]
pub fn contradiction(maps: &impl Tables, question: &Question) -> Option<String> {
    let source = question.source?.to_canonical();
    let network = Network::from_value(maps.network(&source.into())?)?;
    let (belongs, origin, word) = match network {
        Network::Pods => ("to a pod of this node", Origin::Pod, "pod"),
        Network::Node => ("to this node itself", Origin::Node, "node"),
        Network::Services => {
            return Some(format!("{source} lies in a ServiceCIDR: no connection begins there"));
        }
    };
    let agrees = question.origin == origin;
    (!agrees).then(|| format!("{source} belongs {belongs}: did you mean --from {word}:{source}?"))
}
