//! FLOWS and FRAGMENTS: what the packet path remembers of the flows that it translates.

use super::{Address, BackendRef, SCTP, TCP, flags::flags};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Addresses, ports and protocol of a packet: a flow's 5-tuple in one direction.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct Tuple {
    /// Who sends.
    pub source: Address,
    /// Whom it is sent to.
    pub destination: Address,
    /// Port of the sender, network byte order.
    pub source_port: u16,
    /// Port it is sent to, network byte order.
    pub destination_port: u16,
    /// IP protocol number.
    pub protocol: u32,
}

impl Tuple {
    /// The tuple of the packets that answer.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            protocol: self.protocol,
        }
    }
}

/// Entry of FLOWS, keyed by the [`Tuple`] of a packet as it arrives: one cache line. Each flow has two, one for
/// the client's packets and one for those that answer, and either leads to the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlowEntry {
    /// Source address that the packet gets.
    pub source: Address,
    /// Destination address that the packet gets.
    pub destination: Address,
    /// Source port that the packet gets, network byte order.
    pub source_port: u16,
    /// Destination port that the packet gets, network byte order.
    pub destination_port: u16,
    /// How the flow's packets go on.
    pub flags: FlowFlags,
    /// What the client has sent.
    pub client: Seen,
    /// What the backend has sent.
    pub server: Seen,
    /// The backend.
    pub backend: BackendRef,
    /// Index of the service port in SERVICES.
    pub service: u32,
    /// [`FlowFlags::NODE`]: index of the device that the client sends by, and sees answers arrive on. Else zero.
    pub device: u32,
    /// When a packet of either direction was last seen: seconds of CLOCK_MONOTONIC.
    pub last_seen: u32,
    /// Zero.
    pub reserved: u32,
}

impl FlowEntry {
    /// The tuple of a packet once it is translated.
    #[inline(always)]
    #[must_use]
    pub const fn translated(&self, protocol: u32) -> Tuple {
        Tuple {
            source: self.source,
            destination: self.destination,
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol,
        }
    }

    /// Key of the flow's other entry, given the protocol of this one's.
    #[inline(always)]
    #[must_use]
    pub const fn other(&self, protocol: u32) -> Tuple {
        self.translated(protocol).reversed()
    }

    /// The flow's other entry, given the key of this one.
    #[inline(always)]
    #[must_use]
    pub const fn back(&self, key: &Tuple) -> Self {
        Self {
            source: key.destination,
            destination: key.source,
            source_port: key.destination_port,
            destination_port: key.source_port,
            flags: FlowFlags(self.flags.0 ^ FlowFlags::REPLY.0),
            ..*self
        }
    }

    /// Whether the flow has ended: nothing of it is expected any more but what was under way.
    #[inline(always)]
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        (self.client.0 | self.server.0) & Seen::RESET.0 != 0
            || self.client.0 & self.server.0 & Seen::FIN.0 != 0
    }

    /// Seconds without a packet after which the flow is forgotten: nf_conntrack's defaults (Linux 6.18,
    /// nf_conntrack_proto_tcp.c, _udp.c, _sctp.c).
    #[inline(always)]
    #[must_use]
    pub const fn idle_timeout(&self, protocol: u32) -> u32 {
        let answered = self.server.0 & Seen::ANY.0 != 0;
        let ending = (self.client.0 | self.server.0) & Seen::FIN.0 != 0;
        let reset = (self.client.0 | self.server.0) & Seen::RESET.0 != 0;
        match protocol as u8 {
            // CLOSE; FIN_WAIT and TIME_WAIT; SYN_SENT; ESTABLISHED (five days).
            TCP if reset => 10,
            TCP if ending || !answered => 120,
            TCP => 432_000,
            // CLOSED and SHUTDOWN; COOKIE_WAIT; ESTABLISHED.
            SCTP if reset || ending => 10,
            SCTP if !answered => 30,
            SCTP => 210,
            _ if answered => 120,
            _ => 30,
        }
    }
}

flags! {
    /// How the packets of a flow go on, as bits: the same in both entries but for [`Self::REPLY`].
    ///
    /// ```text
    ///              client's packets                     the backend's answers
    /// (none)       ingress, on to the stack             egress
    /// MASQUERADE   ingress, sent to the next hop        ingress, sent to the next hop
    /// .. + EGRESS  egress, sent to the next hop         as above
    /// .. + NODE    egress, sent to the next hop         ingress, injected into FlowEntry::device
    /// ```
    pub struct FlowFlags(u16);
    /// The entry is that of the answers.
    REPLY = 1;
    /// The backend sees an address of the node in place of the client's, so its answers come to the node.
    MASQUERADE = 1 << 1;
    /// The client's packets are translated as they leave the node, not as they arrive.
    EGRESS = 1 << 2;
    /// The client is the node itself.
    NODE = 1 << 3;
    /// None of ours: the kernel translates it since kube-proxy was here, and its packets are left alone. The entry is
    /// there for its port, which belongs to the answers ([`Self::REPLY`] is set); no other leads to it.
    KERNELS = 1 << 4;
}

flags! {
    /// What one side of a flow has sent, as bits. Each side's are written by its own packets only.
    pub struct Seen(u8);
    /// Anything.
    ANY = 1;
    /// The end of its stream: TCP FIN, SCTP SHUTDOWN.
    FIN = 1 << 1;
    /// The end of the flow: TCP RST, SCTP ABORT.
    RESET = 1 << 2;
}

/// Key of FRAGMENTS: a datagram that was cut into fragments.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FragmentKey {
    /// Who sends.
    pub source: Address,
    /// Whom it is sent to.
    pub destination: Address,
    /// Its identification, as the packet has it.
    pub id: u32,
    /// IP protocol number.
    pub protocol: u32,
}

/// Value of FRAGMENTS: the ports, which only the first fragment carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4))]
pub struct Ports {
    /// Port of the sender, network byte order.
    pub source: u16,
    /// Port it is sent to, network byte order.
    pub destination: u16,
}

const _: () = assert!(size_of::<Tuple>() == 40);
const _: () = assert!(size_of::<FlowEntry>() == 64);
const _: () = assert!(size_of::<FragmentKey>() == 40);
const _: () = assert!(size_of::<Ports>() == 4);
