//! What the datapath's counters count: on which path, and how it ended.

use proxy_common::abi::Counter;

/// Who was served: sockets at their calls, or packets.
pub(super) const fn path(counter: Counter) -> &'static str {
    use Counter::*;
    match counter {
        ConnectForwarded
        | ConnectNoEndpoint
        | ConnectUnknownPort
        | SendNewFlow
        | SendKnownFlow
        | SendStaleFlow
        | SendNoEndpoint
        | SendUnknownPort
        | ReplyRestored
        | PeerNameRestored
        | ReverseFull
        | ConnectNoLocalEndpoint
        | ConnectUnallocated
        | SendNoLocalEndpoint
        | SendUnallocated
        | SourceUnknown => "socket",
        FlowNew
        | FlowReplaced
        | FlowsFull
        | PortsExhausted
        | PacketNoEndpoint
        | PacketUnknownPort
        | PacketNoLocalEndpoint
        | PacketUnallocated
        | PacketSourceNotAllowed
        | PacketNoRoute
        | PacketUnreturnable
        | PacketTooBig
        | PacketTtlExceeded
        | PacketUnsupported
        | ErrorTranslated
        | FragmentUnknown => "packet",
        Inconsistent | AffinityKept | AffinityNew | TraceLost => "any",
    }
}

/// How it ended: `forwarded` to an endpoint, `rejected` with an answer, `dropped` without one, or `other`, which is
/// no end.
pub(super) const fn outcome(counter: Counter) -> &'static str {
    use Counter::*;
    match counter {
        ConnectForwarded | SendNewFlow | SendKnownFlow | SendStaleFlow | FlowNew | FlowReplaced => {
            "forwarded"
        }
        ConnectNoEndpoint | ConnectUnknownPort | SendNoEndpoint | SendUnknownPort | PacketNoEndpoint
        | PacketUnknownPort | ReverseFull | Inconsistent | PacketTooBig => "rejected",
        ConnectNoLocalEndpoint
        | ConnectUnallocated
        | SendNoLocalEndpoint
        | SendUnallocated
        | FlowsFull
        | PortsExhausted
        | PacketNoLocalEndpoint
        | PacketUnallocated
        | PacketSourceNotAllowed
        | PacketNoRoute
        | PacketUnreturnable
        | PacketTtlExceeded
        | PacketUnsupported
        | FragmentUnknown => "dropped",
        ReplyRestored | PeerNameRestored | SourceUnknown | AffinityKept | AffinityNew | ErrorTranslated
        | TraceLost => "other",
    }
}
