//! Port numbers and protocols.

use crate::model::Protocol;

/// A port that can be dialled.
pub(super) fn number(value: i32) -> Option<u16> {
    u16::try_from(value).ok().filter(|port| *port != 0)
}

/// A port number where zero means that there is none. An error carries what to say.
pub(super) fn optional_number(value: Option<i32>) -> Result<Option<u16>, String> {
    match value {
        None | Some(0) => Ok(None),
        Some(value) => number(value).map(Some).ok_or_else(|| out_of_range(value)),
    }
}

/// What is wrong with a number that [`number`] refuses.
pub(super) fn out_of_range(value: i32) -> String {
    format!("{value} is not between 1 and 65535")
}

/// Whether a service port may have this name. The API server allows DNS labels only; what matters here
/// is that it fits into NAMES and that a slash cannot stand in for that between two parts of a name.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 63 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The protocol by its API name; TCP where none is given. There is no default for an unknown name: a
/// port that says QUIC must not take a TCP frontend away from another one.
pub(super) fn protocol(name: Option<&str>) -> Result<Protocol, String> {
    match name {
        None | Some("" | "TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(format!("{other:?} is not TCP, UDP or SCTP")),
    }
}
