//! Bind protection: a process of the node is not to wait on a port that a NodePort takes its clients from.

use super::{Tables, lookup};
use crate::abi::{Address, FrontendFlags, NodeFlags, SocketPeer};

/// Whether a socket of the node that has just been bound may stay so: its clients would come to a NodePort's
/// endpoints otherwise, and it would wait for ever. Asked in the node's own network namespace only.
///
/// Of an address where no NodePort answers every port is free. A socket on `::` may serve IPv4 as well, and whether
/// it does its owner may still decide; so there the NodePorts of both families count.
#[inline(always)]
pub fn may_bind<T: Tables>(tables: &T, own: &SocketPeer, protocol: u8) -> bool {
    let SocketPeer { address, port, .. } = *own;
    let is_any = address == address.unspecified();
    if !is_any && !answers(tables, &address) {
        return true;
    }
    let is_both = address == Address::default();
    !(lookup::has_node_port(tables, &address, port, protocol)
        || is_both && lookup::has_node_port(tables, &Address::from_v4_word(0), port, protocol))
}

/// Whether NodePorts answer the node on an address.
#[inline(always)]
fn answers<T: Tables>(tables: &T, address: &Address) -> bool {
    if address.is_loopback() {
        let flag = match address.v4_word() {
            Some(_) => NodeFlags::LOCALHOST_V4,
            None => NodeFlags::LOCALHOST_V6,
        };
        return tables.node_flags().contains(flag);
    }
    lookup::whole_address(tables, address).is_some_and(
        #[inline(always)]
        |whole| whole.kind().contains(FrontendFlags::NODE_ADDRESS),
    )
}
