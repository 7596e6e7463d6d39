//! A decision that the programs have shown, decoded.

use super::ServiceName;
use proxy_common::abi::{Counter, TraceEvent, TraceHook, TraceOutcome, Tuple};
use std::net::SocketAddr;

const HOOKS: [TraceHook; 4] = [TraceHook::Connect, TraceHook::Send, TraceHook::Ingress, TraceHook::Egress];

const OUTCOMES: [TraceOutcome; 4] =
    [TraceOutcome::Forwarded, TraceOutcome::Rejected, TraceOutcome::Dropped, TraceOutcome::Passed];

/// What became of a socket call or a packet, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionView {
    /// When: nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// Where it was made.
    pub hook: TraceHook,
    /// What became of it.
    pub outcome: TraceOutcome,
    /// IP protocol number.
    pub protocol: u32,
    /// Whom the client named; `None` for nobody that the maps know.
    pub service: Option<ServiceName>,
    /// As it came.
    pub before: Ends,
    /// As it went on; `None` where it was not forwarded.
    pub after: Option<Ends>,
    /// Index of the device that a packet was met on.
    pub device: Option<u32>,
    /// The socket's cookie.
    pub cookie: Option<u64>,
    /// What it was counted as.
    pub counter: Counter,
}

/// Who talks to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    /// `None` for a socket call: the kernel has not chosen it yet.
    pub source: Option<SocketAddr>,
    /// Whom.
    pub destination: SocketAddr,
}

impl DecisionView {
    /// Decodes an event about a service port of this name; `None` for one that no program of this version makes.
    #[must_use]
    pub fn decode(event: &TraceEvent, service: Option<ServiceName>) -> Option<Self> {
        let hook = HOOKS.into_iter().find(|hook| *hook as u16 == event.hook)?;
        let outcome = OUTCOMES.into_iter().find(|outcome| *outcome as u16 == event.outcome)?;
        let is_socket = matches!(hook, TraceHook::Connect | TraceHook::Send);
        let ends = |tuple: &Tuple| Ends {
            source: (!is_socket).then(|| socket_address(tuple.source, tuple.source_port)),
            destination: socket_address(tuple.destination, tuple.destination_port),
        };
        Some(Self {
            time: event.time,
            hook,
            outcome,
            protocol: event.before.protocol,
            service,
            before: ends(&event.before),
            after: (outcome == TraceOutcome::Forwarded).then(|| ends(&event.after)),
            device: (!is_socket).then_some(event.device),
            cookie: is_socket.then_some(event.cookie),
            counter: *Counter::ALL.get(event.counter as usize)?,
        })
    }

    /// The ends that there are, before and after.
    pub fn ends(&self) -> impl Iterator<Item = SocketAddr> {
        let each = [Some(self.before), self.after].into_iter().flatten();
        each.flat_map(|ends| [ends.source, Some(ends.destination)]).flatten()
    }

    /// Why it was not forwarded, or why it was forwarded anew; `None` where there is no more to say.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self.counter {
            Counter::ConnectNoEndpoint | Counter::SendNoEndpoint | Counter::PacketNoEndpoint => {
                Some("no usable endpoint")
            }
            Counter::ConnectUnknownPort | Counter::SendUnknownPort | Counter::PacketUnknownPort => {
                Some("the ClusterIP does not serve this port")
            }
            Counter::ConnectNoLocalEndpoint
            | Counter::SendNoLocalEndpoint
            | Counter::PacketNoLocalEndpoint => {
                Some("the traffic policy is Local, and no usable endpoint is here")
            }
            Counter::ConnectUnallocated | Counter::SendUnallocated | Counter::PacketUnallocated => {
                Some("no Service has this address of the ServiceCIDR")
            }
            Counter::SourceUnknown => {
                Some("left to who sees the packets: source ranges, and no source address yet")
            }
            Counter::PacketSourceNotAllowed => Some("the source address is in none of the source ranges"),
            Counter::SendStaleFlow => Some("the endpoint that it had is gone"),
            Counter::FlowReplaced => Some("the flow that it had has ended, or its endpoint is gone"),
            Counter::ReverseFull => Some("no room in REVERSE, by which answers are restored"),
            Counter::FlowsFull => Some("no room in FLOWS"),
            Counter::PortsExhausted => Some("no free source port towards the endpoint"),
            Counter::PacketNoRoute => Some("no route"),
            Counter::PacketUnreturnable => Some("answers would not come back"),
            Counter::PacketTooBig => Some("larger than the way's MTU"),
            Counter::PacketTtlExceeded => Some("its time to live is over"),
            Counter::PacketUnsupported => Some("of a form that is not translated"),
            Counter::FragmentUnknown => Some("the first fragment was not seen"),
            Counter::Inconsistent => Some("the maps contradict each other: a bug in Shunt"),
            Counter::ConnectForwarded
            | Counter::SendNewFlow
            | Counter::SendKnownFlow
            | Counter::ReplyRestored
            | Counter::PeerNameRestored
            | Counter::AffinityKept
            | Counter::AffinityNew
            | Counter::FlowNew
            | Counter::ErrorTranslated
            | Counter::TraceLost => None,
        }
    }

    /// The word for its hook.
    #[must_use]
    pub const fn hook_name(&self) -> &'static str {
        match self.hook {
            TraceHook::Connect => "connect",
            TraceHook::Send => "send",
            TraceHook::Ingress => "ingress",
            TraceHook::Egress => "egress",
        }
    }

    /// The word for its outcome.
    #[must_use]
    pub const fn outcome_name(&self) -> &'static str {
        match self.outcome {
            TraceOutcome::Forwarded => "forwarded",
            TraceOutcome::Rejected => "rejected",
            TraceOutcome::Dropped => "dropped",
            TraceOutcome::Passed => "passed",
        }
    }
}

fn socket_address(address: proxy_common::abi::Address, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_ip(), u16::from_be(port))
}
