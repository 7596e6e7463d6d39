//! A connection that was really made, against what a case says of it.

use super::case::{Affinity, Dial};
use std::net::SocketAddr;

/// Checks by the counters of affinities that are new and kept, where the connection went, and where the
/// client's last one went through the same service port.
pub fn check(
    dial: &Dial,
    [new, kept]: [u64; 2],
    reached: SocketAddr,
    last: Option<SocketAddr>,
) -> Result<(), String> {
    let affinity = match (new, kept) {
        (0, 0) => Affinity::None,
        (1, 0) => Affinity::New,
        (0, 1) => Affinity::Kept,
        other => return Err(format!("one connection counts as several: {other:?}")),
    };
    if affinity != dial.affinity {
        return Err(format!("its affinity is {affinity:?}, not {:?}: it reaches {reached}", dial.affinity));
    }
    if affinity == Affinity::Kept && last != Some(reached) {
        return Err(format!("it reaches {reached}, and the one before reached {last:?}"));
    }
    match &dial.lands_on {
        Some(allowed) if !allowed.contains(&reached) => Err(format!("it reaches {reached}, not {allowed:?}")),
        _ => Ok(()),
    }
}
