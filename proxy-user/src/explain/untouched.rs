//! Connections that are left alone, because what is dialled is no frontend of this node.

use super::{
    Question,
    place::{node_port, place},
    words::{a_kind, list, service_port},
};
use crate::writer::{MapReader, WriteError};
use proxy_common::{
    abi::{FrontendFlags, Network, NodeFlags},
    datapath::{Origin, Tables},
};

/// What becomes of a connection to a port of the node that is no NodePort.
const GOES_ON: &str = "it goes to whatever listens there.";

/// Why a connection is left alone.
pub(super) fn untouched<M: MapReader + Tables>(maps: &M, question: &Question) -> Result<String, WriteError> {
    let (address, port) = (question.address(), question.port());
    let dialled = question.peer().address;
    if dialled.is_loopback() {
        return Ok(loopback(maps, question));
    }
    let place = place(maps, dialled)?;
    if let Some((kind, service)) = place.service {
        return Ok(format!(
            "{address} is {} of {service}, which serves {} there, not {port}: the rest of such an address \
             is not Shunt's.",
            a_kind(kind),
            list(&place.ports),
        ));
    }
    if place.answers_node_ports {
        return Ok(format!("{address} is this node's, and no Service has the NodePort {port}: {GOES_ON}"));
    }
    let network = maps.network(&dialled).and_then(Network::from_value);
    if network == Some(Network::Node) {
        return Ok(format!(
            "{address} is this node's, but none of the addresses on which NodePorts answer here."
        ));
    }
    let (number, protocol) = (question.destination.port(), question.protocol);
    let nowhere = !maps.frontends()?.iter().any(|(_, value)| value.kind() == FrontendFlags::NODE_ADDRESS);
    Ok(match node_port(maps, dialled, number, protocol)? {
        Some(service) if nowhere => format!(
            "{port} is the NodePort of {}, but no address of this node is known on which NodePorts answer: its Node \
             names none, and --nodeport-addresses is primary.",
            service_port(maps, service),
        ),
        Some(service) => format!(
            "{address} is no address on which NodePorts answer here. {port} is the NodePort of {}, but on \
             another node's address that node decides: nothing is translated on the way out.",
            service_port(maps, service),
        ),
        None if network == Some(Network::Pods) => {
            format!("{address} lies among the pods of this node, and no Service has it.")
        }
        None => format!("No Service has the address {address}."),
    })
}

/// A loopback address is the caller's own, and NodePorts answer there only in the node's namespace.
fn loopback(maps: &impl Tables, question: &Question) -> String {
    let (address, port) = (question.address(), question.port());
    let flag = if address.is_ipv4() { NodeFlags::LOCALHOST_V4 } else { NodeFlags::LOCALHOST_V6 };
    match question.origin {
        Origin::Pod => format!(
            "{address} is the pod itself: NodePorts answer on loopback addresses only in the node's own network \
             namespace."
        ),
        Origin::Outside => {
            format!("{address} is the client's own machine: no packet for it comes from elsewhere.")
        }
        Origin::Node if maps.node_flags().contains(flag) => {
            format!("{address} is this node's, and no Service has the NodePort {port}: {GOES_ON}")
        }
        Origin::Node => {
            format!("{address} is this node's, and NodePorts do not answer on loopback addresses here.")
        }
    }
}
