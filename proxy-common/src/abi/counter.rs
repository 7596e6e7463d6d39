//! COUNTERS: what the programs did, by reason.

/// Index into the per-CPU array COUNTERS. Values are totals since the maps were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum Counter {
    /// connect() to a frontend was pointed at a backend (TCP and connected UDP).
    ConnectForwarded = 0,
    /// connect() was refused: the service has no usable endpoint.
    ConnectNoEndpoint = 1,
    /// connect() was refused: a ClusterIP that serves no such port.
    ConnectUnknownPort = 2,
    /// sendmsg() of an unconnected UDP socket chose a backend.
    SendNewFlow = 3,
    /// sendmsg() went on with the backend that the socket remembers.
    SendKnownFlow = 4,
    /// sendmsg() found its remembered backend gone, and chose again.
    SendStaleFlow = 5,
    /// sendmsg() was refused: the service has no usable endpoint.
    SendNoEndpoint = 6,
    /// sendmsg() was refused: a ClusterIP that serves no such port.
    SendUnknownPort = 7,
    /// A reply's sender was written back to the frontend that the socket dialled.
    ReplyRestored = 8,
    /// getpeername() was answered with the frontend that the socket dialled.
    PeerNameRestored = 9,
    /// Refused because the reverse entry could not be written: without it replies would seem to
    /// come from a stranger.
    ReverseFull = 10,
    /// Refused because a map index led nowhere. Always zero; anything else is a bug in Shunt.
    Inconsistent = 11,
    /// connect() was dropped: `internalTrafficPolicy: Local`, and no usable endpoint on this node.
    ConnectNoLocalEndpoint = 12,
    /// connect() was dropped: an address inside a ServiceCIDR that is no ClusterIP.
    ConnectUnallocated = 13,
    /// sendmsg() was dropped: `internalTrafficPolicy: Local`, and no usable endpoint on this node.
    SendNoLocalEndpoint = 14,
    /// sendmsg() was dropped: an address inside a ServiceCIDR that is no ClusterIP.
    SendUnallocated = 15,
    /// A call to a load-balancer address with source ranges was left to the packet path, which knows the
    /// source address.
    SourceUnknown = 16,
    /// A new flow went where its client's session affinity says.
    AffinityKept = 17,
    /// A new flow of a service port with session affinity chose a backend: its client had none, or none
    /// that may be used any more.
    AffinityNew = 18,
}

impl Counter {
    /// Every counter, in the order of its index.
    pub const ALL: [Self; 19] = [
        Self::ConnectForwarded,
        Self::ConnectNoEndpoint,
        Self::ConnectUnknownPort,
        Self::SendNewFlow,
        Self::SendKnownFlow,
        Self::SendStaleFlow,
        Self::SendNoEndpoint,
        Self::SendUnknownPort,
        Self::ReplyRestored,
        Self::PeerNameRestored,
        Self::ReverseFull,
        Self::Inconsistent,
        Self::ConnectNoLocalEndpoint,
        Self::ConnectUnallocated,
        Self::SendNoLocalEndpoint,
        Self::SendUnallocated,
        Self::SourceUnknown,
        Self::AffinityKept,
        Self::AffinityNew,
    ];

    /// Number of counters: the size of COUNTERS.
    pub const COUNT: usize = Self::ALL.len();

    /// Name as `shunt status` prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectForwarded => "connect_forwarded",
            Self::ConnectNoEndpoint => "connect_no_endpoint",
            Self::ConnectUnknownPort => "connect_unknown_port",
            Self::SendNewFlow => "send_new_flow",
            Self::SendKnownFlow => "send_known_flow",
            Self::SendStaleFlow => "send_stale_flow",
            Self::SendNoEndpoint => "send_no_endpoint",
            Self::SendUnknownPort => "send_unknown_port",
            Self::ReplyRestored => "reply_restored",
            Self::PeerNameRestored => "peer_name_restored",
            Self::ReverseFull => "reverse_full",
            Self::Inconsistent => "inconsistent",
            Self::ConnectNoLocalEndpoint => "connect_no_local_endpoint",
            Self::ConnectUnallocated => "connect_unallocated",
            Self::SendNoLocalEndpoint => "send_no_local_endpoint",
            Self::SendUnallocated => "send_unallocated",
            Self::SourceUnknown => "source_unknown",
            Self::AffinityKept => "affinity_kept",
            Self::AffinityNew => "affinity_new",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_stands_at_its_own_index() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, index);
        }
    }
}
