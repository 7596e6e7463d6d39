//! The first packet of a flow.

use super::headers::{Headers, Transport};
use super::{
    Action, Hook, InsertError, NextHop, Packet, PacketTables, answer, flow, hash, ports, trace, translate,
};
use crate::abi::{
    Address, AffinityClient, BackendEntry, BackendFlags, BackendRef, Counter, DeviceEntry, DeviceFlags,
    FlowEntry, FlowFlags, Network, PacketFlags, Seen, SocketPeer, TraceOutcome, Tuple,
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
    device: &DeviceEntry,
    source: &Address,
) -> Origin {
    let egress = packet.hook() as u8 == Hook::Egress as u8;
    if egress && packet.made_here() {
        Origin::Node
    } else if (!egress && device.flags.contains(DeviceFlags::PODS))
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
    device: &DeviceEntry,
    headers: &Headers,
    transport: &Transport,
    tuple: &Tuple,
    again: bool,
) -> Action {
    let client = FlowClient { origin: origin(packet, tables, device, &tuple.source), tuple };
    let peer = SocketPeer::new(tuple.destination, tuple.destination_port);
    let verdict = route(tables, &client, &peer, headers.protocol);
    let chosen = match verdict {
        Verdict::Forward(route) => match pick_backend(tables, &client, &route) {
            Some((reference, backend)) => (route.frontend.service, reference, backend),
            None => {
                return refuse(
                    packet,
                    tables,
                    headers,
                    Some(transport),
                    tuple,
                    Verdict::Reject(Reason::Inconsistent),
                );
            }
        },
        Verdict::Pass(_) => return Action::Pass,
        verdict => return refuse(packet, tables, headers, Some(transport), tuple, verdict),
    };
    // A reset of a flow that nobody knows has nothing to reset.
    if transport.seen.contains(Seen::RESET) {
        return Action::Drop;
    }
    let (service, reference, backend) = chosen;
    let entry = match open(packet, tables, &client, service, reference, &backend) {
        Ok(entry) => entry,
        Err(counter) => {
            tables.count(counter);
            return Action::Drop;
        }
    };
    tables.count(if again { Counter::FlowReplaced } else { Counter::FlowNew });
    tables.account(service, 1, packet.length().wrapping_sub(headers.ip), false);
    translate::remember_fragments(tables, headers, tuple);
    trace::forwarded(packet, tables, tuple, &entry.translated(tuple.protocol), service, reference);
    if flow::hook(entry.flags) as u8 != packet.hook() as u8 {
        return Action::Pass;
    }
    flow::send_on(packet, tables, headers, true, tuple, &entry)
}

/// How the client's address fares on the way to a backend.
enum Way {
    /// The backend sees it: its answers come back through a device of ours.
    Keep,
    /// The backend sees this address of the node.
    Masquerade(Address),
}

/// The way to a backend.
///
/// The client's address is kept towards a backend of this node whose answers the node routes to a device of ours:
/// not to the device that the backend itself is behind, where they would go from one pod to the other (or back to
/// the same one) without passing the node.
#[inline(always)]
fn way<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    client: &FlowClient<'_>,
    backend: &BackendEntry,
) -> Result<Way, Counter> {
    let source = client.tuple.source;
    let out = match packet.next_hop(source, backend.address) {
        NextHop::Device { device, .. } | NextHop::TooBig { device } => device,
        // In the node's own namespace. What the node sends itself never leaves it.
        NextHop::Local if packet.hook() as u8 == Hook::Ingress as u8 => return Ok(Way::Keep),
        NextHop::Local => return Err(Counter::PacketUnreturnable),
        NextHop::None => return Err(Counter::PacketNoRoute),
    };
    let through = tables.device(out);
    let here = backend.flags.contains(BackendFlags::LOCAL) && packet.hook() as u8 == Hook::Ingress as u8;
    if here && !tables.settings().flags.contains(PacketFlags::MASQUERADE_ALWAYS) {
        let back = match packet.next_hop(backend.address, source) {
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
    // The answers come to the device that leads to the backend.
    let Some(through) = through else { return Err(Counter::PacketUnreturnable) };
    let own =
        if source.v4_word().is_some() { Address::from_v4_word(through.address4) } else { through.address6 };
    if own == own.unspecified() { Err(Counter::PacketUnreturnable) } else { Ok(Way::Masquerade(own)) }
}

/// Writes both entries of a new flow, that of the answers first, and returns the client's.
#[inline(always)]
fn open<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    client: &FlowClient<'_>,
    service: u32,
    reference: BackendRef,
    backend: &BackendEntry,
) -> Result<FlowEntry, Counter> {
    let tuple = client.tuple;
    let mut flags = FlowFlags::default();
    if packet.hook() as u8 == Hook::Egress as u8 {
        flags |= FlowFlags::EGRESS;
    }
    let mut entry = FlowEntry {
        source: tuple.source,
        destination: backend.address,
        source_port: tuple.source_port,
        destination_port: backend.port,
        flags,
        client: Seen::ANY,
        server: Seen::default(),
        backend: reference,
        service,
        device: 0,
        last_seen: flow::seconds(tables),
        reserved: 0,
    };
    let masquerade = match way(packet, tables, client, backend)? {
        Way::Masquerade(own) => Some(own),
        Way::Keep => None,
    };
    let mut reply = FlowEntry {
        source: tuple.destination,
        destination: tuple.source,
        source_port: tuple.destination_port,
        destination_port: tuple.source_port,
        ..entry
    };
    if let Some(own) = masquerade {
        flags |= FlowFlags::MASQUERADE;
        if client.origin as u8 == Origin::Node as u8 {
            flags |= FlowFlags::NODE;
            entry.device = packet.device();
            reply.device = packet.device();
        }
        entry.source = own;
        entry.flags = flags;
        reply.flags = flags.union(FlowFlags::REPLY);
        entry.source_port = ports::claim(packet, tables, tuple, &entry.translated(tuple.protocol), &reply)
            .map_err(|error| match error {
                InsertError::Exists => Counter::PortsExhausted,
                InsertError::Full => Counter::FlowsFull,
            })?;
    } else {
        reply.flags = flags.union(FlowFlags::REPLY);
        keep(tables, &entry.other(tuple.protocol), &reply, tuple.protocol)?;
    }
    match tables.insert_flow(tuple, &entry) {
        Ok(()) => Ok(entry),
        // Another CPU was first; its entry counts.
        Err(InsertError::Exists) => tables.flow(tuple).ok_or(Counter::FlowsFull),
        Err(InsertError::Full) => Err(Counter::FlowsFull),
    }
}

/// Writes the entry of the answers of a flow that keeps its client's address.
///
/// It is taken where the client reaches the same backend from the same port through another frontend as well. Only
/// one of them can have its answers back.
#[inline(always)]
fn keep<T: PacketTables>(tables: &T, key: &Tuple, reply: &FlowEntry, protocol: u32) -> Result<(), Counter> {
    for _ in 0..2 {
        match tables.insert_flow(key, reply) {
            Ok(()) => return Ok(()),
            Err(InsertError::Full) => return Err(Counter::FlowsFull),
            Err(InsertError::Exists) => {}
        }
        let Some(there) = tables.flow(key) else { continue };
        if ports::leads_to(&there, reply) {
            return Ok(());
        }
        if !ports::is_over(&there, reply.last_seen, protocol) {
            return Err(Counter::PacketUnreturnable);
        }
        flow::forget(tables, key, &there);
    }
    Err(Counter::FlowsFull)
}

/// Refuses what a ClusterIP does not serve and what is no TCP, UDP or SCTP.
#[inline(always)]
pub fn refuse_unknown<P: Packet, T: PacketTables>(packet: &mut P, tables: &T, headers: &Headers) -> Action {
    let tuple = Tuple {
        source: headers.source,
        destination: headers.destination,
        protocol: u32::from(headers.protocol),
        ..Tuple::default()
    };
    refuse(packet, tables, headers, None, &tuple, Verdict::Reject(Reason::UnknownPort))
}

/// Counts and shows a verdict that is no endpoint, and answers where an answer is due.
#[inline(always)]
fn refuse<P: Packet, T: PacketTables>(
    packet: &mut P,
    tables: &T,
    headers: &Headers,
    transport: Option<&Transport>,
    tuple: &Tuple,
    verdict: Verdict,
) -> Action {
    let (reason, reject) = match verdict {
        Verdict::Reject(reason) => (reason, true),
        Verdict::Drop(reason) | Verdict::Pass(reason) => (reason, false),
        Verdict::Forward(_) => (Reason::Inconsistent, false),
    };
    tables.count(match reason {
        Reason::UnknownPort => Counter::PacketUnknownPort,
        Reason::NoEndpoint => Counter::PacketNoEndpoint,
        Reason::NoLocalEndpoint => Counter::PacketNoLocalEndpoint,
        Reason::Unallocated => Counter::PacketUnallocated,
        Reason::SourceNotAllowed => Counter::PacketSourceNotAllowed,
        // A packet has a source, and what is no service was let pass.
        Reason::NotAService | Reason::SourceUnknown | Reason::Inconsistent => Counter::Inconsistent,
    });
    let outcome = if reject { TraceOutcome::Rejected } else { TraceOutcome::Dropped };
    trace::refused(packet, tables, tuple, outcome, reason);
    if reject { answer::refuse(packet, headers, transport) } else { Action::Drop }
}
