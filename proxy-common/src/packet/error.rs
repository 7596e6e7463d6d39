//! ICMP errors about a flow are translated with it.

use super::{Action, Packet, PacketTables, Work};

/// Translates an ICMP error about a packet of a flow; `None` for any other message.
#[inline(always)]
pub fn translate<P: Packet, T: PacketTables>(
    _packet: &mut P,
    _tables: &T,
    _work: &mut Work,
) -> Option<Action> {
    None
}
