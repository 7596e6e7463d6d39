//! What the maps hold of an address beside the frontend that was asked for: words for those who dialled
//! another port than they meant.

use crate::{
    model::{ObjectName, Protocol},
    view::{FrontendKind, KeyParts, port_id},
    writer::{MapReader, WriteError},
};
use proxy_common::abi::{Address, FrontendFlags, Scope};

/// The frontends of an address.
pub(super) struct Place {
    /// The Service that has the address, and as what; the first by kind where there are several.
    pub service: Option<(FrontendKind, ObjectName)>,
    /// `80/TCP` of each frontend of that Service and kind, ascending.
    pub ports: Vec<String>,
    /// NodePorts answer there.
    pub answers_node_ports: bool,
}

/// Looks an address up, as the tables have it.
pub(super) fn place(maps: &impl MapReader, address: Address) -> Result<Place, WriteError> {
    let (mut found, mut answers_node_ports) = (Vec::new(), false);
    for (key, value) in maps.frontends()? {
        let parts = KeyParts::of(&key);
        if parts.address != address || parts.scope == Scope::Node as u8 {
            continue;
        }
        answers_node_ports |= value.kind() == FrontendFlags::NODE_ADDRESS;
        let named = FrontendKind::decode(value.kind()).zip(port_id(maps, value.service));
        found.extend(named.map(|(kind, id)| (kind, id.service, parts.port, id.protocol)));
    }
    found.sort_unstable();
    let service = found.first().map(|(kind, service, ..)| (*kind, service.clone()));
    found.retain(|(kind, name, ..)| service.as_ref().is_some_and(|(k, n)| (k, n) == (kind, name)));
    let ports = found.iter().map(|(.., port, protocol)| format!("{port}/{protocol}")).collect();
    Ok(Place { service, ports, answers_node_ports })
}

/// The service port that has a NodePort of this number in the family of `address`.
pub(super) fn node_port(
    maps: &impl MapReader,
    address: Address,
    port: u16,
    protocol: Protocol,
) -> Result<Option<u32>, WriteError> {
    let wanted =
        KeyParts { address: address.unspecified(), port, protocol: protocol as u8, scope: Scope::Node as u8 };
    let found = maps.frontends()?.into_iter().find(|(key, _)| KeyParts::of(key) == wanted);
    Ok(found.map(|(_, value)| value.service))
}
