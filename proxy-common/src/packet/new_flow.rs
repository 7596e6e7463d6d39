//! The first packet of a flow.

use super::{
    Hook, InsertError, Next, NextHop, Packet, PacketTables, Unknown, Work,
    answer::{self, Answer},
    arrive, flow, hash, ports, trace,
};
use crate::abi::{
    Address, AffinityClient, BackendFlags, BackendRef, Counter, DeviceEntry, DeviceFlags, FlowEntry,
    FlowFlags, Network, PacketFlags, Ports, Seen, SocketPeer, TraceEvent, TraceOutcome, Tuple, UDP,
};
use crate::datapath::{Client, Lookup, Origin, Reason, Tables, Verdict, find_address, pick_backend, route};

/// A client known by a flow's first packet. The flow's hash picks its endpoint: a flow whose entry was lost
/// finds the same one again while the set is unchanged.
struct FlowClient<'a, P, T> {
    packet: &'a P,
    tables: &'a T,
    tuple: &'a Tuple,
}

impl<P: Packet, T: PacketTables> Client for FlowClient<'_, P, T> {
    /// What claims on arrival to come from the node itself comes from elsewhere.
    #[inline(always)]
    fn origin(&self) -> Origin {
        if is_nodes(self.packet) {
            return Origin::Node;
        }
        let by_device = self.packet.hook() as u8 == Hook::Ingress as u8
            && self.tables.device(self.packet.device()).is_some_and(
                #[inline(always)]
                |device| device.flags.contains(DeviceFlags::PODS),
            );
        if by_device || self.tables.network(&self.tuple.source) == Some(Network::Pods as u32) {
            Origin::Pod
        } else {
            Origin::Outside
        }
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
    fn draw<U: Tables>(&self, _: &U) -> u32 {
        hash::of(self.tuple)
    }
}

/// Whether the node itself sends a packet.
#[inline(always)]
fn is_nodes<P: Packet>(packet: &P) -> bool {
    packet.hook() as u8 == Hook::Egress as u8 && packet.made_here()
}

/// Decides about a packet whose flow is not known, or has ended.
#[inline(always)]
pub fn begin<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work) -> Next {
    if work.again {
        flow::forget(tables, &work.tuple, &work.entry, &mut work.key);
    }
    let peer = SocketPeer::new(work.tuple.destination, work.tuple.destination_port);
    let client = FlowClient { packet, tables, tuple: &work.tuple };
    let picked = match route(tables, &client, &peer, work.headers.protocol) {
        // It may be an answer to a flow that only the programs before know.
        Verdict::Pass(_) if tables.unknown() as u8 != Unknown::Nothing as u8 => return Next::Before,
        Verdict::Pass(_) => return pass(packet, tables, work),
        _ if is_left(tables, work) => return Next::Pass,
        Verdict::Forward(route) => match pick_backend(tables, &client, &route) {
            Some((reference, backend)) => Ok((route.frontend.service, reference, backend)),
            None => Err(Verdict::Reject(Reason::Inconsistent)),
        },
        verdict => Err(verdict),
    };
    let (service, reference, backend) = match picked {
        Ok(picked) => picked,
        Err(verdict) => return refuse(packet, tables, work, verdict),
    };
    // A reset of a flow that nobody knows has nothing to reset.
    if work.transport.seen.contains(Seen::RESET) {
        return Next::Drop;
    }
    // No host's address: it would go on in the node's name, past the kernel, which throws it away (`ip_route_input`).
    if packet.hook() as u8 == Hook::Ingress as u8 && !answer::is_single(&work.tuple.source) {
        return Next::Drop;
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
        last_seen: tables.seconds(),
        reserved: 0,
    };
    let local = backend.flags.contains(BackendFlags::LOCAL);
    if let Err(counter) = open(packet, tables, work, local) {
        tables.count(counter);
        trace::refused(packet, tables, work, service, TraceOutcome::Dropped, counter);
        return Next::Drop;
    }
    let counter = if work.again { Counter::FlowReplaced } else { Counter::FlowNew };
    tables.count(counter);
    tables.account(service, 1, packet.length().wrapping_sub(work.headers.ip), false);
    arrive::remember_fragments(tables, work);
    trace::forwarded(packet, tables, work, counter);
    // Another CPU may have begun it, from a packet met elsewhere.
    if flow::hook(work.entry.flags) as u8 != packet.hook() as u8 {
        return Next::Pass;
    }
    Next::Send
}

/// Whether a packet may be of a flow that the kernel translates since kube-proxy was here, and is left to it.
#[inline(always)]
fn is_left<T: PacketTables>(tables: &T, work: &Work) -> bool {
    work.tuple.protocol != UDP as u32
        && !work.transport.begins
        && tables.settings().flags.contains(PacketFlags::LEAVE_UNKNOWN)
}

/// What becomes of a packet of no flow that names no Service.
///
/// One to the node, at a port that could be ours, may be the answer of a flow whose entry was lost, which the node's stack
/// resets. But before nf_conntrack has seen it, that of a pod that a network plug-in masquerades looks the same
/// (`--random-fully` takes any port from 1024 on), and so does one to a hostPort: nothing that the kernel translates may be dropped.
#[inline(always)]
fn pass<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work) -> Next {
    arrive::replace_fragments(tables, work);
    if work.transport.begins {
        make_way(tables, work);
        return Next::Pass;
    }
    let settings = tables.settings();
    let tuple = &work.tuple;
    let handover = settings.flags.contains(PacketFlags::LEAVE_UNKNOWN);
    let port = u16::from_be(tuple.destination_port).wrapping_sub(settings.first_port);
    if handover
        && port < settings.ports
        && packet.hook() as u8 == Hook::Ingress as u8
        && tables.device(packet.device()).is_some_and(
            #[inline(always)]
            |device| tuple.destination == own_address(&device, &tuple.destination),
        )
        && !packet.has_socket(tuple)
    {
        reserve(tables, work);
    }
    Next::Pass
}

/// Takes the port of a flow that the kernel translates, so that none of ours gets it: an endpoint answers to an address
/// of the node that stands for a client, and it was kube-proxy who put it there. Were it full, that flow goes on unless
/// another takes its port.
#[inline(always)]
fn reserve<T: PacketTables>(tables: &T, work: &mut Work) {
    let tuple = &work.tuple;
    work.entry = FlowEntry {
        source: tuple.source,
        destination: tuple.destination,
        source_port: tuple.source_port,
        destination_port: tuple.destination_port,
        flags: FlowFlags::KERNELS.union(FlowFlags::REPLY),
        // As if its client had ended: what is silent for two minutes does not hold a port for days.
        client: Seen::ANY.union(Seen::FIN),
        server: work.transport.seen,
        backend: BackendRef::default(),
        service: TraceEvent::NO_SERVICE,
        device: 0,
        last_seen: tables.seconds(),
        reserved: 0,
    };
    let _ = tables.insert_flow(&work.tuple, &work.entry);
}

/// Forgets a flow that has ended where a connection begins without a Service, from the same port of the same client to
/// the same backend: the answers would be taken for its own.
#[inline(always)]
fn make_way<T: PacketTables>(tables: &T, work: &mut Work) {
    work.key = work.tuple.reversed();
    if tables.flow(&work.key, &mut work.there)
        && (work.there.is_closed() || ports::is_over(&work.there, tables.seconds(), work.tuple.protocol))
    {
        flow::forget(tables, &work.key, &work.there, &mut work.other);
    }
}

/// The way to a backend.
struct Way {
    /// The device that leads there; zero for the node's own stack.
    device: u32,
    /// The backend may see the client's address: its answers come back through a device of ours.
    keeps_client: bool,
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
    let device = match packet.next_hop(source, backend) {
        NextHop::Device { device, .. } | NextHop::TooBig { device } => device,
        // In the node's own namespace. What the node sends itself never leaves it.
        NextHop::Local if arrives => return Ok(Way { device: 0, keeps_client: true }),
        NextHop::Local => return Err(Counter::PacketUnreturnable),
        NextHop::None => return Err(Counter::PacketNoRoute),
    };
    if !local || !arrives || tables.settings().flags.contains(PacketFlags::MASQUERADE_ALWAYS) {
        return Ok(Way { device, keeps_client: false });
    }
    match packet.next_hop(backend, source) {
        NextHop::Device { device: back, .. } | NextHop::TooBig { device: back } => {
            Ok(Way { device, keeps_client: back != device && tables.device(back).is_some() })
        }
        NextHop::Local => Ok(Way { device, keeps_client: false }),
        NextHop::None => Err(Counter::PacketNoRoute),
    }
}

/// The address of the node that stands for a client of the family of `client` on the way out of a device;
/// unspecified for none.
#[inline(always)]
fn own_address(device: &DeviceEntry, client: &Address) -> Address {
    match client.v4_word() {
        Some(_) => Address::from_v4_word(device.address4),
        None => device.address6,
    }
}

/// Writes both entries of a new flow, that of the answers first. `work.entry` is the client's, and keeps the
/// client's address so far.
#[inline(always)]
fn open<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    work: &mut Work,
    local: bool,
) -> Result<(), Counter> {
    let way = way(packet, tables, work, local)?;
    work.reply = work.entry.back(&work.tuple);
    let kept = way.keeps_client && keep(tables, work)?;
    if !kept {
        if !way.keeps_client {
            masquerade(packet, tables, work, way.device)?;
        }
        claim(packet, tables, work)?;
    }
    match tables.insert_flow(&work.tuple, &work.entry) {
        Ok(()) => Ok(()),
        // Another CPU was first; its entry counts.
        Err(InsertError::Exists) if tables.flow(&work.tuple, &mut work.entry) => Ok(()),
        Err(_) => Err(Counter::FlowsFull),
    }
}

/// Writes the entry of the answers of a flow that keeps its client's address and port; false if that is taken: the
/// client reaches the same backend from the same port through another frontend, and answers do not tell which.
#[inline(always)]
fn keep<T: PacketTables>(tables: &T, work: &mut Work) -> Result<bool, Counter> {
    work.key = work.entry.other(work.tuple.protocol);
    match ports::write_reply(tables, work) {
        Ok(()) => Ok(true),
        Err(InsertError::Exists) => Ok(false),
        Err(InsertError::Full) => Err(Counter::FlowsFull),
    }
}

/// Has the node's address on a device, the one that leads to the backend, stand for the client's: there the answers
/// come in.
#[inline(always)]
fn masquerade<P: Packet, T: PacketTables>(
    packet: &P,
    tables: &T,
    work: &mut Work,
    device: u32,
) -> Result<(), Counter> {
    let Some(device) = tables.device(device) else { return Err(Counter::PacketUnreturnable) };
    let own = own_address(&device, &work.tuple.source);
    if own == own.unspecified() {
        return Err(Counter::PacketUnreturnable);
    }
    work.entry.source = own;
    work.entry.flags |= FlowFlags::MASQUERADE;
    if is_nodes(packet) {
        work.entry.flags |= FlowFlags::NODE;
        work.entry.device = packet.device();
        work.reply.device = packet.device();
    }
    work.reply.flags = work.entry.flags.union(FlowFlags::REPLY);
    Ok(())
}

/// Finds a port that stands for the client's, and writes the entry of the answers.
#[inline(always)]
fn claim<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work) -> Result<(), Counter> {
    work.to = work.entry.translated(work.tuple.protocol);
    work.entry.source_port = ports::claim(packet, tables, work).map_err(
        #[inline(always)]
        |error| match error {
            InsertError::Exists => Counter::PortsExhausted,
            InsertError::Full => Counter::FlowsFull,
        },
    )?;
    Ok(())
}

/// What becomes of a packet that is no TCP, UDP or SCTP, and no ICMP error of a flow. Nothing but its service ports
/// is to be reached at a ClusterIP: a ping that left by the default route would come back, and leave again.
#[inline(always)]
pub fn without_ports<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work) -> Next {
    let verdict = match find_address(tables, &work.headers.destination) {
        Lookup::UnknownPort => Verdict::Reject(Reason::UnknownPort),
        Lookup::Unallocated => Verdict::Drop(Reason::Unallocated),
        Lookup::NotAService | Lookup::Frontend(_) => return Next::Pass,
    };
    work.tuple = arrive::tuple(&work.headers, Ports { source: 0, destination: 0 });
    refuse(packet, tables, work, verdict)
}

/// Counts and shows a verdict that is no endpoint, and answers where an answer is due.
#[inline(always)]
fn refuse<P: Packet, T: PacketTables>(packet: &P, tables: &T, work: &mut Work, verdict: Verdict) -> Next {
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
    trace::refused(packet, tables, work, TraceEvent::NO_SERVICE, outcome, counter);
    if reject {
        work.answer = Answer::Refusal;
        Next::Answer
    } else {
        Next::Drop
    }
}
