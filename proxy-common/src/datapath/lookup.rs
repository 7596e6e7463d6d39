//! From a dialled address to a frontend.

use super::{Client, Origin, Tables};
use crate::abi::{
    Address, FrontendFlags, FrontendKey4, FrontendKey6, FrontendValue, Network, NodeFlags, Scope, SocketPeer,
};

/// What an address, port and protocol is to the node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup {
    /// Nothing of ours: leave it alone.
    NotAService,
    /// A ClusterIP, but no service port of it.
    UnknownPort,
    /// An address of a ServiceCIDR that no Service has.
    Unallocated,
    /// A frontend of a service port.
    Frontend(FrontendValue),
}

/// Looks up the frontend that `peer` and `protocol` name; an IPv4-mapped address is an IPv4 one.
///
/// * The exact entry comes first: a load-balancer address that is also the node's keeps its own ports.
/// * Only where it is missing, a second look-up tells what the address is: a ClusterIP that serves other
///   ports (refused, as kube-proxy's nftables mode does), or the node's, where a third one finds the
///   NodePort. Other nodes' addresses are foreign: their own rules and policies decide.
/// * A loopback address has NodePorts at most, and those in the node's own namespace only; a pod means itself.
/// * What is left inside a ServiceCIDR is nobody's, and is dropped where ServiceCIDRs are known.
#[inline(always)]
pub fn find_frontend<T: Tables, C: Client>(
    tables: &T,
    client: &C,
    peer: &SocketPeer,
    protocol: u8,
) -> Lookup {
    let address = peer.address;
    if address.is_loopback() {
        if !answers_on_loopback(tables, client, &address) {
            return Lookup::NotAService;
        }
    } else {
        if let Some(frontend) = look_up(tables, address, peer.port, protocol, Scope::Exact) {
            return Lookup::Frontend(frontend);
        }
        let Some(whole) = whole_address(tables, &address) else {
            return unknown_address(tables, &address);
        };
        if whole.kind().contains(FrontendFlags::ADDRESS_ONLY) {
            return Lookup::UnknownPort;
        }
    }
    match look_up(tables, any_like(tables, &address), peer.port, protocol, Scope::Node) {
        Some(frontend) => Lookup::Frontend(frontend),
        None => Lookup::NotAService,
    }
}

/// Whether an address is a ClusterIP.
#[inline(always)]
pub fn is_cluster_ip<T: Tables>(tables: &T, address: &Address) -> bool {
    whole_address(tables, address).is_some_and(
        #[inline(always)]
        |whole| whole.kind().contains(FrontendFlags::ADDRESS_ONLY),
    )
}

/// What an address is to a packet that names no port: a ClusterIP, of which nothing but its service ports is to be
/// reached ([`Lookup::UnknownPort`]), nobody's, or nothing of ours.
#[inline(always)]
pub fn find_address<T: Tables>(tables: &T, address: &Address) -> Lookup {
    match whole_address(tables, address) {
        Some(whole) if whole.kind().contains(FrontendFlags::ADDRESS_ONLY) => Lookup::UnknownPort,
        Some(_) => Lookup::NotAService,
        None => unknown_address(tables, address),
    }
}

/// Whether `port` is a NodePort of the family of `address`.
#[inline(always)]
pub fn has_node_port<T: Tables>(tables: &T, address: &Address, port: u16, protocol: u8) -> bool {
    look_up(tables, any_like(tables, address), port, protocol, Scope::Node).is_some()
}

/// What an address is beside its exact frontends.
#[inline(always)]
pub fn whole_address<T: Tables>(tables: &T, address: &Address) -> Option<FrontendValue> {
    look_up(tables, *address, 0, 0, Scope::Address)
}

/// The unspecified address of an address's family.
#[inline(always)]
fn any_like<T: Tables>(tables: &T, address: &Address) -> Address {
    match address.v4_word() {
        Some(_) => Address::from_v4_word(0),
        None => Address { words: [tables.zero(), tables.zero(), tables.zero(), tables.zero()] },
    }
}

/// Whether NodePorts answer this client on loopback addresses of this family.
#[inline(always)]
fn answers_on_loopback<T: Tables, C: Client>(tables: &T, client: &C, address: &Address) -> bool {
    let flag = match address.v4_word() {
        Some(_) => NodeFlags::LOCALHOST_V4,
        None => NodeFlags::LOCALHOST_V6,
    };
    tables.node_flags().contains(flag) && client.origin() as u8 == Origin::Node as u8
}

/// What an address is that stands in no frontend.
#[inline(always)]
fn unknown_address<T: Tables>(tables: &T, address: &Address) -> Lookup {
    if tables.node_flags().contains(NodeFlags::SERVICE_CIDRS)
        && tables.network(address) == Some(Network::Services as u32)
    {
        Lookup::Unallocated
    } else {
        Lookup::NotAService
    }
}

/// Looks up one key in the map of the address's family.
#[inline(always)]
fn look_up<T: Tables>(
    tables: &T,
    address: Address,
    port: u16,
    protocol: u8,
    scope: Scope,
) -> Option<FrontendValue> {
    let scope = scope as u8;
    if let Some(address) = address.v4_word() {
        let key = FrontendKey4 { address, port, protocol, scope };
        twice(
            key.check(),
            #[inline(always)]
            || tables.frontend4(&key),
        )
    } else {
        let key = FrontendKey6 { address: address.words, port, protocol, scope };
        twice(
            key.check(),
            #[inline(always)]
            || tables.frontend6(&key),
        )
    }
}

/// Looks up again if the value found belongs to another key: its element was given away between the
/// look-up and the load (see [`FrontendValue`]). The second look-up finds the key where it is now.
#[inline(always)]
fn twice(check: u32, look_up: impl Fn() -> Option<FrontendValue>) -> Option<FrontendValue> {
    let found = look_up()?;
    if found.is_of(check) { Some(found) } else { look_up().filter(|found| found.is_of(check)) }
}
