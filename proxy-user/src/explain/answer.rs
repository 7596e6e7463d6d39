//! What becomes of a new connection.

use crate::view::FrontendView;
use std::net::SocketAddr;

/// What this node does with a new connection, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "manifests", derive(serde::Serialize))]
pub struct Answer {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The service port that was dialled, `namespace/name:port` or `namespace/name`; `None` if none was.
    pub service: Option<String>,
    /// The frontend that was dialled; `None` if none was.
    pub frontend: Option<FrontendView>,
    /// Every endpoint that could be picked, ascending.
    pub endpoints: Vec<SocketAddr>,
    /// The endpoint that was picked: at random, or by the client's session affinity.
    pub picked: Option<SocketAddr>,
    /// Whose address the endpoint sees; `None` unless forwarded.
    pub client_address: Option<ClientAddress>,
    /// The rule that decided, in one or two sentences.
    pub reason: String,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "manifests", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Verdict {
    /// It goes to an endpoint.
    Forward,
    /// It is refused at once: ECONNREFUSED, or an answer that says so.
    Reject,
    /// It is not answered.
    Drop,
    /// It is left alone: it is not for a Service.
    Pass,
}

impl Verdict {
    /// The word that `explain` prints.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Reject => "reject",
            Self::Drop => "drop",
            Self::Pass => "pass",
        }
    }
}

/// Whose address an endpoint sees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "manifests", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum ClientAddress {
    /// The client's own.
    Kept,
    /// One of this node: the connection leaves again for another machine, and its answers must come back
    /// the same way.
    Node,
}

impl Answer {
    /// An answer without endpoint, service and frontend.
    pub(super) const fn without_endpoint(verdict: Verdict, reason: String) -> Self {
        Self {
            verdict,
            service: None,
            frontend: None,
            endpoints: Vec::new(),
            picked: None,
            client_address: None,
            reason,
        }
    }
}
