//! The first packet of a flow.

use super::{
    Action, Hook, InsertError, NextHop, Packet, PacketTables, Work, answer, flow, hash, ports, trace,
    translate,
};
use crate::abi::{
    Address, AffinityClient, BackendFlags, Counter, DeviceFlags, FlowEntry, FlowFlags, Network, PacketFlags,
    Ports, Seen, SocketPeer, TraceOutcome, Tuple,
};
use crate::datapath::{Client, Origin, Reason, Tables, Verdict, pick_backend, route};

/// A client known by a flow's first packet. The flow's hash picks its endpoint: a flow whose entry was lost
/// finds the same one again while the set is unchanged.
struct FlowClient<'a> {
    origin: Origin,
    tuple: &'a Tuple,
}

impl Client for FlowClient<'_> {
    #[inline(always)]
    fn origin(&self) -> Origin {
        self.origin
    }

    #[inline(always)]
    fn address(&self) -> Option<Address> {
        Some(self.tuple.source)
    }

    #[inline(always)]
    fn affinity(&self) -> AffinityClient {
        AffinityClient::address(self.tuple.source)
    }

    #[inline(always)]
    fn draw<T: Tables>(&self, _: &T) -> u32 {
        hash::of(self.tuple)
    }
}

/// Whose packet it is. What claims on arrival to come from the node itself comes from elsewhere.
#[inline(always)]
fn origin<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    device: DeviceFlags,
    source: &Address,
) -> Origin {
    let egress = packet.hook() as u8 == Hook::Egress as u8;
    if egress && packet.made_here() {
        Origin::Node
    } else if (!egress && device.contains(DeviceFlags::PODS))
        || tables.network(source) == Some(Network::Pods as u32)
    {
        Origin::Pod
    } else {
        Origin::Outside
    }
}

/// Decides about a packet without a flow. `again` if it had one that has ended.
#[inline(always)]
pub fn begin<P: Packet, T: PacketTables>(
    packet: &mut P,
    tables: &T,
    device: DeviceFlags,
    work: &mut Work,
    again: bool,
) -> Action {
    let origin = origin(packet, tables, device, &work.tuple.source);
    let peer = SocketPeer::new(work.tuple.destination, work.tuple.destination_port);
    let client = FlowClient { origin, tuple: &work.tuple };
    let picked = match route(tables, &client, &peer, work.headers.protocol) {
        Verdict::Forward(route) => match pick_backend(tables, &client, &route) {
            Some((reference, backend)) => Ok((route.frontend.service, reference, backend)),
            None => Err(Verdict::Reject(Reason::Inconsistent)),
        },
        verdict => Err(verdict),
    };
    let (service, reference, backend) = match picked {
        Ok(picked) => picked,
        Err(Verdict::Pass(_)) => return Action::Pass,
        Err(verdict) => return refuse(packet, tables, work, true, verdict),
    };
    // A reset of a flow that nobody knows has nothing to reset.
    if work.transport.seen.contains(Seen::RESET) {
        return Action::Drop;
    }
    work.entry = FlowEntry {
        source: work.tuple.source,
        destination: backend.address,
        source_port: work.tuple.source_port,
        destination_port: backend.port,
        flags: match packet.hook() {
            Hook::Ingress => FlowFlags::default(),
            Hook::Egress => FlowFlags::EGRESS,
        },
        client: work.transport.seen,
        server: Seen::default(),
        backend: reference,
        service,
        device: 0,
        last_seen: flow::seconds(tables),
        reserved: 0,
    };
    let local = backend.flags.contains(BackendFlags::LOCAL);
    if let Err(counter) = open(packet, tables, work, origin, local) {
        tables.count(counter);
        return Action::Drop;
    }
    let counter = if again { Counter::FlowReplaced } else { Counter::FlowNew };
    tables.count(counter);
    tables.account(service, 1, packet.length().wrapping_sub(work.headers.ip), false);
    translate::remember_fragments(tables, work);
    trace::forwarded(packet, tables, work, counter);
    if flow::hook(work.entry.flags) as u8 != packet.hook() as u8 {
        return Action::Pass;
    }
    flow::send_on(packet, tables, work, true)
}

/// How the client's address fares on the way to a backend.
enum Way {
    /// The backend sees it: its answers come back through a device of ours.
    Keep,
    /// The backend sees this address of the node.
    Masquerade(Address),
}

/// The way to the backend of `work.entry`.
///
/// The client's address is kept towards a backend of this node whose answers the node routes to a device of ours:
/// not to the device that the backend itself is behind, where they would go from one pod to the other (or back to
/// the same one) without passing the node.
#[inline(always)]
fn way<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &Work, local: bool) -> Result<Way, Counter> {
    let (source, backend) = (work.entry.source, work.entry.destination);
    let arrives = packet.hook() as u8 == Hook::Ingress as u8;
    let out = match packet.next_hop(source, backend) {
        NextHop::Device { device, .. } | NextHop::TooBig { device } => device,
        // In the node's own namespace. What the node sends itself never leaves it.
        NextHop::Local if arrives => return Ok(Way::Keep),
        NextHop::Local => return Err(Counter::PacketUnreturnable),
        NextHop::None => return Err(Counter::PacketNoRoute),
    };
    if local && arrives && !tables.settings().flags.contains(PacketFlags::MASQUERADE_ALWAYS) {
        let back = match packet.next_hop(backend, source) {
            NextHop::Device { device, .. } | NextHop::TooBig { device } => {
                device != out && tables.device(device).is_some()
            }
            NextHop::Local => false,
            NextHop::None => return Err(Counter::PacketNoRoute),
        };
        if back {
            return Ok(Way::Keep);
        }
    }
    own_address(tables, out, &source).map(Way::Masquerade)
}

/// The node's address that is to stand for `source` on the way out of a device. The answers come to that device.
#[inline(always)]
fn own_address<T: PacketTables>(tables: &T, device: u32, source: &Address) -> Result<Address, Counter> {
    let Some(device) = tables.device(device) else { return Err(Counter::PacketUnreturnable) };
    let own = match source.v4_word() {
        Some(_) => Address::from_v4_word(device.address4),
        None => device.address6,
    };
    if own == own.unspecified() { Err(Counter::PacketUnreturnable) } else { Ok(own) }
}

/// Writes both entries of a new flow, that of the answers first. `work.entry` is the client's, and keeps the
/// client's address so far.
#[inline(always)]
fn open<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    work: &mut Work,
    origin: Origin,
    local: bool,
) -> Result<(), Counter> {
    let way = way(packet, tables, work, local)?;
    if matches!(way, Way::Masquerade(_)) {
        work.entry.flags |= FlowFlags::MASQUERADE;
        if origin as u8 == Origin::Node as u8 {
            work.entry.flags |= FlowFlags::NODE;
            work.entry.device = packet.device();
        }
    }
    work.reply = FlowEntry {
        source: work.tuple.destination,
        destination: work.tuple.source,
        source_port: work.tuple.destination_port,
        destination_port: work.tuple.source_port,
        flags: work.entry.flags.union(FlowFlags::REPLY),
        ..work.entry
    };
    match way {
        Way::Keep => keep(tables, work)?,
        Way::Masquerade(own) => {
            work.entry.source = own;
            work.to = work.entry.translated(work.tuple.protocol);
            work.entry.source_port = ports::claim(packet, tables, work).map_err(
                #[inline(always)]
                |error| match error {
                    InsertError::Exists => Counter::PortsExhausted,
                    InsertError::Full => Counter::FlowsFull,
                },
            )?;
        }
    }
    match tables.insert_flow(&work.tuple, &work.entry) {
        Ok(()) => Ok(()),
        // Another CPU was first; its entry counts.
        Err(InsertError::Exists) if tables.flow(&work.tuple, &mut work.entry) => Ok(()),
        Err(_) => Err(Counter::FlowsFull),
    }
}

/// Writes the entry of the answers of a flow that keeps its client's address.
///
/// It is taken where the client reaches the same backend from the same port through another frontend as well. Only
/// one of them can have its answers back.
#[inline(always)]
fn keep<T: PacketTables>(tables: &T, work: &mut Work) -> Result<(), Counter> {
    work.key = work.entry.other(work.tuple.protocol);
    for _ in 0..2 {
        match tables.insert_flow(&work.key, &work.reply) {
            Ok(()) => return Ok(()),
            Err(InsertError::Full) => return Err(Counter::FlowsFull),
            Err(InsertError::Exists) => {}
        }
        if !tables.flow(&work.key, &mut work.there) {
            continue;
        }
        if ports::leads_to(&work.there, &work.reply) {
            return Ok(());
        }
        if !ports::is_over(&work.there, work.reply.last_seen, work.tuple.protocol) {
            return Err(Counter::PacketUnreturnable);
        }
        work.to = work.there.other(work.tuple.protocol);
        tables.forget_flow(&work.to);
        tables.forget_flow(&work.key);
    }
    Err(Counter::FlowsFull)
}

/// Refuses what a ClusterIP does not serve and what is no TCP, UDP or SCTP.
#[inline(always)]
pub fn refuse_unknown<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, work: &mut Work) -> Action {
    work.tuple = translate::tuple(&work.headers, Ports { source: 0, destination: 0 });
    refuse(packet, tables, work, false, Verdict::Reject(Reason::UnknownPort))
}

/// Counts and shows a verdict that is no endpoint, and answers where an answer is due.
#[inline(always)]
fn refuse<P: Packet, T: PacketTables>(
    packet: &mut P,
    tables: &T,
    work: &mut Work,
    has_transport: bool,
    verdict: Verdict,
) -> Action {
    let (reason, reject) = match verdict {
        Verdict::Reject(reason) => (reason, true),
        Verdict::Drop(reason) | Verdict::Pass(reason) => (reason, false),
        Verdict::Forward(_) => (Reason::Inconsistent, false),
    };
    let counter = match reason {
        Reason::UnknownPort => Counter::PacketUnknownPort,
        Reason::NoEndpoint => Counter::PacketNoEndpoint,
        Reason::NoLocalEndpoint => Counter::PacketNoLocalEndpoint,
        Reason::Unallocated => Counter::PacketUnallocated,
        Reason::SourceNotAllowed => Counter::PacketSourceNotAllowed,
        // A packet has a source, and what is no service was let pass.
        Reason::NotAService | Reason::SourceUnknown | Reason::Inconsistent => Counter::Inconsistent,
    };
    tables.count(counter);
    let outcome = if reject { TraceOutcome::Rejected } else { TraceOutcome::Dropped };
    trace::refused(packet, tables, work, outcome, counter);
    if reject {
        answer::refuse(packet, &work.headers, has_transport.then_some(&work.transport))
    } else {
        Action::Drop
    }
}
