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
    /// A packet began a flow: a backend was picked and both entries were written.
    FlowNew = 19,
    /// A packet's flow led to a backend that is gone, or had ended, and began anew.
    FlowReplaced = 20,
    /// A packet was dropped because its flow could not be written.
    FlowsFull = 21,
    /// A packet was dropped because no source port was free towards its backend.
    PortsExhausted = 22,
    /// A packet was rejected: the service has no usable endpoint.
    PacketNoEndpoint = 23,
    /// A packet was rejected: a ClusterIP that serves no such port.
    PacketUnknownPort = 24,
    /// A packet was dropped: a Local policy, and no usable endpoint on this node.
    PacketNoLocalEndpoint = 25,
    /// A packet was dropped: an address inside a ServiceCIDR that is no ClusterIP.
    PacketUnallocated = 26,
    /// A packet was dropped: its source is in none of the load balancer's source ranges.
    PacketSourceNotAllowed = 27,
    /// A packet was dropped: the node has no route to its backend or to its client.
    PacketNoRoute = 28,
    /// A packet was dropped: its backend's answer would pass no device that Shunt is attached to.
    PacketUnreturnable = 29,
    /// A packet did not fit its next link, and its sender was told the MTU.
    PacketTooBig = 30,
    /// A packet was dropped: its time to live was used up.
    PacketTtlExceeded = 31,
    /// A packet of a flow was dropped because it cannot be translated: a fragmented SCTP packet, one of which the headers are cut short.
    PacketUnsupported = 32,
    /// An ICMP error about a flow was translated with it.
    ErrorTranslated = 33,
    /// A fragment to a ClusterIP was dropped: the first one of its datagram, which has the port, was not seen.
    FragmentUnknown = 34,
    /// A decision was not traced because the ring buffer was full.
    TraceLost = 35,
}

impl Counter {
    /// Every counter, in the order of its index.
    pub const ALL: [Self; 36] = [
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
        Self::FlowNew,
        Self::FlowReplaced,
        Self::FlowsFull,
        Self::PortsExhausted,
        Self::PacketNoEndpoint,
        Self::PacketUnknownPort,
        Self::PacketNoLocalEndpoint,
        Self::PacketUnallocated,
        Self::PacketSourceNotAllowed,
        Self::PacketNoRoute,
        Self::PacketUnreturnable,
        Self::PacketTooBig,
        Self::PacketTtlExceeded,
        Self::PacketUnsupported,
        Self::ErrorTranslated,
        Self::FragmentUnknown,
        Self::TraceLost,
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
            Self::FlowNew => "flow_new",
            Self::FlowReplaced => "flow_replaced",
            Self::FlowsFull => "flows_full",
            Self::PortsExhausted => "ports_exhausted",
            Self::PacketNoEndpoint => "packet_no_endpoint",
            Self::PacketUnknownPort => "packet_unknown_port",
            Self::PacketNoLocalEndpoint => "packet_no_local_endpoint",
            Self::PacketUnallocated => "packet_unallocated",
            Self::PacketSourceNotAllowed => "packet_source_not_allowed",
            Self::PacketNoRoute => "packet_no_route",
            Self::PacketUnreturnable => "packet_unreturnable",
            Self::PacketTooBig => "packet_too_big",
            Self::PacketTtlExceeded => "packet_ttl_exceeded",
            Self::PacketUnsupported => "packet_unsupported",
            Self::ErrorTranslated => "error_translated",
            Self::FragmentUnknown => "fragment_unknown",
            Self::TraceLost => "trace_lost",
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
