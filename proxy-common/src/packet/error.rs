//! ICMP errors about a flow are translated with it.

use super::headers::Headers;
use super::{Action, Packet, PacketTables};

/// Translates an ICMP error about a packet of a flow; `None` for any other message.
#[inline(always)]
pub fn translate<P: Packet, T: PacketTables>(
    _packet: &mut P,
    _tables: &T,
    _headers: &Headers,
) -> Option<Action> {
    None
}
