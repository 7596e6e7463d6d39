//! The socket path: a connection to a Service is pointed at its backend when it is made, and no
//! packet is ever rewritten.

use super::{Lookup, Refusal, Tables, find_frontend, pick_backend};
use crate::abi::{BackendEntry, BackendRef, Counter, FrontendValue, SocketKey, SocketPeer};

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
}

/// Counters of one kind of call, so that connect and send share one decision.
struct Reasons {
    no_endpoint: Counter,
    unknown_port: Counter,
}

const CONNECT: Reasons =
    Reasons { no_endpoint: Counter::ConnectNoEndpoint, unknown_port: Counter::ConnectUnknownPort };
const SEND: Reasons =
    Reasons { no_endpoint: Counter::SendNoEndpoint, unknown_port: Counter::SendUnknownPort };

/// connect(): points a connection to a frontend at a backend, once.
#[inline(always)]
pub fn connect<T: Tables>(tables: &T, dial: &Dial) -> Decision {
    let frontend = match classify(tables, dial, &CONNECT) {
        Ok(frontend) => frontend,
        Err(decision) => return decision,
    };
    match choose(tables, dial, frontend, &CONNECT) {
        Ok((_, peer)) => {
            tables.count(Counter::ConnectForwarded);
            Decision::Rewrite(peer)
        }
        Err(decision) => decision,
    }
}

/// sendmsg() with an address on an unconnected UDP socket: the first datagram to a frontend picks a
/// backend, later ones keep it for as long as it lives.
#[inline(always)]
pub fn send<T: Tables>(tables: &T, dial: &Dial) -> Decision {
    let frontend = match classify(tables, dial, &SEND) {
        Ok(frontend) => frontend,
        Err(decision) => return decision,
    };
    let flow = SocketKey { cookie: dial.cookie, peer: dial.peer };
    let mut counter = Counter::SendNewFlow;
    if let Some(remembered) = tables.udp_flow(&flow) {
        counter = Counter::SendStaleFlow;
        if let Some(backend) = live(tables, remembered, frontend.service) {
            let peer = SocketPeer::new(backend.address, backend.port);
            // The reverse entry may have been evicted since, or belong to another frontend by now.
            let reverse = SocketKey { cookie: dial.cookie, peer };
            if tables.reverse(&reverse) == Some(dial.peer)
                || tables.remember_reverse(&reverse, &dial.peer).is_ok()
            {
                tables.count(Counter::SendKnownFlow);
                return Decision::Rewrite(peer);
            }
            tables.count(Counter::ReverseFull);
            return Decision::Refuse;
        }
    }
    match choose(tables, dial, frontend, &SEND) {
        Ok((slot, peer)) => {
            // Losing this memory costs stickiness, never correctness, so a full map is no error.
            let _ = tables.remember_udp_flow(&flow, slot);
            tables.count(counter);
            Decision::Rewrite(peer)
        }
        Err(decision) => decision,
    }
}

/// [`send`] on a socket that may be connected: to `connected`, or to nothing (port zero).
///
/// A connected UDP socket may name an address in sendmsg() all the same. If that is the frontend it is
/// connected through, the backend of its connect() is the only one whose replies the kernel lets in.
#[inline(always)]
pub fn send_connected<T: Tables>(tables: &T, dial: &Dial, connected: SocketPeer) -> Decision {
    let reverse = SocketKey { cookie: dial.cookie, peer: connected };
    if connected.port != 0 && tables.reverse(&reverse) == Some(dial.peer) {
        tables.count(Counter::SendKnownFlow);
        return Decision::Rewrite(connected);
    }
    send(tables, dial)
}

/// recvmsg(): the address to show as the sender, if `sender` is a backend that this socket reached
/// through a frontend.
#[inline(always)]
pub fn restore_sender<T: Tables>(tables: &T, cookie: u64, sender: SocketPeer) -> Option<SocketPeer> {
    let frontend = tables.reverse(&SocketKey { cookie, peer: sender })?;
    tables.count(Counter::ReplyRestored);
    Some(frontend)
}

/// getpeername(): the address to show, if `peer` is a backend that this socket reached through a
/// frontend.
#[inline(always)]
pub fn restore_peer_name<T: Tables>(tables: &T, cookie: u64, peer: SocketPeer) -> Option<SocketPeer> {
    let frontend = tables.reverse(&SocketKey { cookie, peer })?;
    tables.count(Counter::PeerNameRestored);
    Some(frontend)
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

/// The frontend that a call dials, or what becomes of a call that dials none.
#[inline(always)]
fn classify<T: Tables>(tables: &T, dial: &Dial, reasons: &Reasons) -> Result<FrontendValue, Decision> {
    match find_frontend(tables, &dial.peer, dial.protocol) {
        Lookup::NotAService => Err(Decision::Pass),
        Lookup::UnknownPort => {
            tables.count(reasons.unknown_port);
            Err(Decision::Refuse)
        }
        Lookup::Frontend(frontend) => Ok(frontend),
    }
}

/// Picks a backend and writes the reverse entry *before* the caller rewrites the destination: a
/// reply may arrive on another CPU before this program has ended.
#[inline(always)]
fn choose<T: Tables>(
    tables: &T,
    dial: &Dial,
    frontend: FrontendValue,
    reasons: &Reasons,
) -> Result<(BackendRef, SocketPeer), Decision> {
    let (slot, backend) = pick_backend(tables, frontend).map_err(|refusal| {
        tables.count(match refusal {
            Refusal::NoEndpoint => reasons.no_endpoint,
            Refusal::Inconsistent => Counter::Inconsistent,
        });
        Decision::Refuse
    })?;
    let peer = SocketPeer::new(backend.address, backend.port);
    if tables.remember_reverse(&SocketKey { cookie: dial.cookie, peer }, &dial.peer).is_err() {
        tables.count(Counter::ReverseFull);
        return Err(Decision::Refuse);
    }
    Ok((slot, peer))
}

/// The backend of a memory, unless its index was freed since. An index is given a new address only
/// after its generation has changed and every program that could have seen the old one has ended.
///
/// An LRU map may give an element to another key between the look-up and the load of its value:
/// then the memory is another socket's, and as a rule of another service port.
#[inline(always)]
fn live<T: Tables>(tables: &T, remembered: BackendRef, service: u32) -> Option<BackendEntry> {
    let backend = tables.backend(remembered.index())?;
    (backend.generation == remembered.generation() && backend.service == service).then_some(backend)
}
