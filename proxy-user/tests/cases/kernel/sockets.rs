//! What a socket finds that dials: who answers, or how the call fails.

use super::{super::text::Dialled, canonical};
use shunt::{
    kernel::sys::probe_set_retval,
    lab::{Reply, UdpAsker, tcp_ask, udp_ask_connected},
    model::Protocol,
};
use std::{io, net::SocketAddr, sync::OnceLock, time::Duration};

/// Whoever is asked answers at once.
pub const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The server at this address.
    Answered(SocketAddr),
    /// The call was refused: ECONNREFUSED, or EPERM where a program cannot choose the error.
    Refused,
    /// The call failed as if nobody had answered, or by EPERM as from a DROP rule.
    Dropped,
    /// Anything else.
    Failed(String),
}

/// Dials by a socket of the calling thread, a UDP one connected.
pub fn dial(Dialled { address, protocol }: Dialled) -> Outcome {
    let reply = match protocol {
        Protocol::Udp => udp_ask_connected(address, TIMEOUT),
        _ => tcp_ask(address, TIMEOUT),
    };
    match reply {
        Ok(Reply { peer_name, .. }) if canonical(peer_name) != canonical(address) => {
            Outcome::Failed(format!("getpeername says {peer_name}"))
        }
        Ok(Reply { name, .. }) => answered(&name),
        Err(error) => failed(&error),
    }
}

/// Dials by a socket of the calling thread, and in UDP by a second one that is not connected.
pub fn dial_in_every_way(dialled: Dialled) -> Vec<Outcome> {
    let mut outcomes = vec![dial(dialled)];
    if dialled.protocol == Protocol::Udp {
        outcomes.push(dial_unconnected(dialled.address));
    }
    outcomes
}

fn dial_unconnected(address: SocketAddr) -> Outcome {
    let asker = if address.is_ipv4() { UdpAsker::ipv4(TIMEOUT) } else { UdpAsker::ipv6(TIMEOUT) };
    match asker.and_then(|asker| asker.ask(address)) {
        Ok((_, from)) if canonical(from) != canonical(address) => {
            Outcome::Failed(format!("the answer comes from {from}"))
        }
        Ok((name, _)) => answered(&name),
        Err(error) => failed(&error),
    }
}

/// A server's name is its address.
fn answered(name: &str) -> Outcome {
    name.parse().map_or_else(|_| Outcome::Failed(format!("{name} answers")), Outcome::Answered)
}

fn failed(error: &io::Error) -> Outcome {
    // EPERM is a verdict of a program; before Linux 6.1 the only one that it has.
    match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Outcome::Refused,
        Some(libc::EPERM) if !has_set_retval() => Outcome::Refused,
        Some(libc::EPERM | libc::ETIMEDOUT) => Outcome::Dropped,
        _ => Outcome::Failed(error.to_string()),
    }
}

fn has_set_retval() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| probe_set_retval().unwrap_or(false))
}
