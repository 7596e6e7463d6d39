//! The socket path: a connection to a Service is pointed at its backend when it is made, and no
//! packet is ever rewritten.

use super::trace::{self, Decided};
use super::{Admitted, Client, Reason, Tables, Verdict, admit, applicable_set, pick::live, pick_backend};
use crate::abi::{
    BackendFlags, BackendRef, Counter, ReverseEntry, SocketKey, SocketPeer, TraceEvent, TraceHook,
};

/// A socket call that names a destination: connect(), or sendmsg() with an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dial {
    /// The socket's cookie.
    pub cookie: u64,
    /// Where the call goes.
    pub peer: SocketPeer,
    /// IP protocol number of the socket.
    pub protocol: u8,
}

/// What becomes of a socket call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Not for us: the call goes on as it is.
    Pass,
    /// The call goes on with this address in place of the one it named.
    Rewrite(SocketPeer),
    /// The call fails: ECONNREFUSED, or EPERM where socket programs have no bpf_set_retval (before 6.1).
    Refuse,
    /// The call fails as if nobody had answered: ETIMEDOUT for a connect(), but at once, since a hook cannot
    /// make the caller wait; EPERM for a datagram, which is what a DROP rule gives a local sender.
    Drop,
}

/// One kind of call with its counters, so that connect and send share one decision.
struct Kind {
    hook: TraceHook,
    no_endpoint: Counter,
    no_local_endpoint: Counter,
    unknown_port: Counter,
    unallocated: Counter,
}

const CONNECT: Kind = Kind {
    hook: TraceHook::Connect,
    no_endpoint: Counter::ConnectNoEndpoint,
    no_local_endpoint: Counter::ConnectNoLocalEndpoint,
    unknown_port: Counter::ConnectUnknownPort,
    unallocated: Counter::ConnectUnallocated,
};
const SEND: Kind = Kind {
    hook: TraceHook::Send,
    no_endpoint: Counter::SendNoEndpoint,
    no_local_endpoint: Counter::SendNoLocalEndpoint,
    unknown_port: Counter::SendUnknownPort,
    unallocated: Counter::SendUnallocated,
};

/// connect(): points a connection to a frontend at a backend, once.
#[inline(always)]
pub fn connect<T: Tables, C: Client>(tables: &T, client: &C, dial: &Dial) -> Decision {
    let admitted = admit(tables, client, &dial.peer, dial.protocol);
    let service = service(&admitted);
    // Not `and_then`: the compiler may leave that a function of its own.
    let chosen = match admitted {
        Ok(admitted) => choose(tables, client, &admitted),
        Err(verdict) => Err(verdict),
    };
    match chosen {
        Ok((backend, peer)) => {
            let decided = Decided { service, backend, counter: Counter::ConnectForwarded };
            forward(tables, dial, peer, &decided, &CONNECT)
        }
        Err(verdict) => refuse(tables, dial, verdict, service, &CONNECT),
    }
}

/// sendmsg() with an address on an unconnected UDP socket: the first datagram to a frontend picks a
/// backend, later ones keep it for as long as it can serve, whatever policies and topology say since.
#[inline(always)]
pub fn send<T: Tables, C: Client>(tables: &T, client: &C, dial: &Dial) -> Decision {
    let flow = SocketKey { cookie: dial.cookie, peer: dial.peer };
    let admitted = admit(tables, client, &dial.peer, dial.protocol);
    let service = service(&admitted);
    let chosen = match admitted {
        Ok(admitted) => keep_or_choose(tables, client, &flow, &admitted),
        Err(verdict) => Err(verdict),
    };
    let (peer, decided) = match chosen {
        Ok(chosen) => chosen,
        Err(verdict) => return refuse(tables, dial, verdict, service, &SEND),
    };
    let decision = forward(tables, dial, peer, &decided, &SEND);
    if !is_known(&decided) && matches!(decision, Decision::Rewrite(_)) {
        // Losing this memory costs stickiness, never correctness, so a full map is no error.
        let _ = tables.remember_udp_flow(&flow, decided.backend);
    }
    decision
}

/// [`send`] on a socket that may be connected: to `connected`, or to nothing (port zero).
///
/// A connected UDP socket may name an address in sendmsg() all the same. If that is the frontend it is
/// connected through, the backend of its connect() is the only one whose replies the kernel lets in.
#[inline(always)]
pub fn send_connected<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    dial: &Dial,
    connected: SocketPeer,
) -> Decision {
    if connected.port != 0 {
        let reverse = SocketKey { cookie: dial.cookie, peer: connected };
        if tables.reverse(&reverse).is_some_and(
            #[inline(always)]
            |entry| entry.frontend() == dial.peer,
        ) {
            tables.count(Counter::SendKnownFlow);
            return Decision::Rewrite(connected);
        }
    }
    send(tables, client, dial)
}

/// recvmsg(): the address to show as the sender, if `sender` is a backend that this socket reached
/// through a frontend.
#[inline(always)]
pub fn restore_sender<T: Tables>(tables: &T, cookie: u64, sender: SocketPeer) -> Option<SocketPeer> {
    let entry = tables.reverse(&SocketKey { cookie, peer: sender })?;
    tables.count(Counter::ReplyRestored);
    Some(entry.frontend())
}

/// getpeername(): the address to show, if `peer` is a backend that this socket reached through a
/// frontend.
#[inline(always)]
pub fn restore_peer_name<T: Tables>(tables: &T, cookie: u64, peer: SocketPeer) -> Option<SocketPeer> {
    let entry = tables.reverse(&SocketKey { cookie, peer })?;
    tables.count(Counter::PeerNameRestored);
    Some(entry.frontend())
}

/// The end of a socket that is connected to `peer`, or to nothing (port zero): its reverse entry
/// goes with it.
///
/// Only a saving of room. What stays (an unconnected socket's entries, and those of a socket whose
/// connect() failed after the programs had run: the kernel forgets its peer then) is evicted in time,
/// and can mislead nobody, because a cookie never comes back.
#[inline(always)]
pub fn release<T: Tables>(tables: &T, cookie: u64, peer: SocketPeer) {
    if peer.port != 0 {
        tables.forget_reverse(&SocketKey { cookie, peer });
    }
}

/// The service port of a call.
#[inline(always)]
fn service(admitted: &Result<Admitted, Verdict>) -> u32 {
    match admitted {
        Ok(admitted) => admitted.frontend.service,
        Err(_) => TraceEvent::NO_SERVICE,
    }
}

/// Whether the socket has sent to this backend before.
#[inline(always)]
const fn is_known(decided: &Decided) -> bool {
    decided.counter as u32 == Counter::SendKnownFlow as u32
}

/// Counts and shows a verdict that is no endpoint, and says what it means to a socket.
#[inline(always)]
fn refuse<T: Tables>(tables: &T, dial: &Dial, verdict: Verdict, service: u32, kind: &Kind) -> Decision {
    let (decision, reason) = match verdict {
        Verdict::Reject(reason) => (Decision::Refuse, reason),
        Verdict::Drop(reason) => (Decision::Drop, reason),
        Verdict::Pass(reason) => (Decision::Pass, reason),
        Verdict::Forward(_) => (Decision::Refuse, Reason::Inconsistent),
    };
    let counter = match reason {
        Reason::NotAService => return decision,
        Reason::SourceUnknown => Counter::SourceUnknown,
        Reason::UnknownPort => kind.unknown_port,
        Reason::NoEndpoint => kind.no_endpoint,
        Reason::NoLocalEndpoint => kind.no_local_endpoint,
        Reason::Unallocated => kind.unallocated,
        // A socket's source is unknown, so it is never found outside of the ranges.
        Reason::SourceNotAllowed | Reason::Inconsistent => Counter::Inconsistent,
    };
    tables.count(counter);
    let decided = Decided { service, backend: BackendRef::default(), counter };
    trace::show(tables, kind.hook, dial, &decision, &decided);
    decision
}

/// The backend that a new flow goes to.
#[inline(always)]
fn choose<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    admitted: &Admitted,
) -> Result<(BackendRef, SocketPeer), Verdict> {
    let route = applicable_set(client, admitted)?;
    match pick_backend(tables, client, &route) {
        Some((slot, backend)) => Ok((slot, SocketPeer::new(backend.address, backend.port))),
        None => Err(Verdict::Reject(Reason::Inconsistent)),
    }
}

/// The backend of a flow: the one that its last datagram went to, or a new one.
#[inline(always)]
fn keep_or_choose<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    flow: &SocketKey,
    admitted: &Admitted,
) -> Result<(SocketPeer, Decided), Verdict> {
    let service = admitted.frontend.service;
    let mut counter = Counter::SendNewFlow;
    if let Some(backend) = tables.udp_flow(flow) {
        if let Some(entry) = live(tables, backend, admitted.frontend.service, BackendFlags::LIVE) {
            let peer = SocketPeer::new(entry.address, entry.port);
            return Ok((peer, Decided { service, backend, counter: Counter::SendKnownFlow }));
        }
        counter = Counter::SendStaleFlow;
    }
    let (backend, peer) = choose(tables, client, admitted)?;
    Ok((peer, Decided { service, backend, counter }))
}

/// Sends a call to a backend. The reverse entry is written *before* the caller rewrites the destination: a
/// reply may arrive on another CPU before this program has ended.
///
/// That of a known flow is there as a rule, but it may have been evicted since, or belong to another frontend
/// by now.
#[inline(always)]
fn forward<T: Tables>(
    tables: &T,
    dial: &Dial,
    backend: SocketPeer,
    decided: &Decided,
    kind: &Kind,
) -> Decision {
    let key = SocketKey { cookie: dial.cookie, peer: backend };
    let entry = ReverseEntry::new(dial.peer, dial.protocol, decided.backend);
    let known = is_known(decided);
    let there = known && tables.reverse(&key) == Some(entry);
    if !there && tables.remember_reverse(&key, &entry).is_err() {
        tables.count(Counter::ReverseFull);
        let decided = Decided { backend: BackendRef::default(), counter: Counter::ReverseFull, ..*decided };
        trace::show(tables, kind.hook, dial, &Decision::Refuse, &decided);
        return Decision::Refuse;
    }
    tables.count(decided.counter);
    let decision = Decision::Rewrite(backend);
    if !known {
        tables.count_flow(decided.service);
        trace::show(tables, kind.hook, dial, &decision, decided);
    }
    decision
}
