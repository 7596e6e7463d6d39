//! Connections that are refused or dropped, and the source ranges of load balancers.

use super::{
    Question,
    place::place,
    words::{list, service_port},
};
use crate::{
    view::{FrontendKind, net, source_ranges},
    writer::{MapReader, PrefixKey, WriteError},
};
use ipnet::IpNet;
use proxy_common::{
    abi::{FrontendValue, Network},
    datapath::{Origin, Reason},
};

/// Why a connection to `found`, if it is one to a frontend, has no endpoint.
pub(super) fn refused(
    maps: &impl MapReader,
    question: &Question,
    found: Option<FrontendValue>,
    reason: Reason,
) -> Result<String, WriteError> {
    let frontend = found.unwrap_or_default();
    let name = service_port(maps, frontend.service);
    Ok(match reason {
        Reason::NoEndpoint => format!(
            "No endpoint of {name} is usable anywhere in the cluster: none is ready, and none serves while it \
             terminates."
        ),
        Reason::NoLocalEndpoint => no_local_endpoint(maps, frontend, &name),
        Reason::UnknownPort => unknown_port(maps, question)?,
        Reason::Unallocated => unallocated(maps, question)?,
        Reason::SourceUnknown => format!(
            "Only clients in the source ranges {} may use a load-balancer address of {name}, and the question \
             names no source address: ask with --from {}:IP.",
            ranges(maps, frontend.service)?,
            match question.origin {
                Origin::Pod => "pod",
                Origin::Node => "node",
                Origin::Outside => "external",
            }
        ),
        Reason::SourceNotAllowed => format!(
            "{} lies in none of the source ranges of {name}: {}.",
            question
                .source
                .map_or_else(|| "The client".to_owned(), |source| source.to_canonical().to_string()),
            ranges(maps, frontend.service)?,
        ),
        Reason::NotAService | Reason::Inconsistent => inconsistent(),
    })
}

/// What nobody should ever read.
pub(super) fn inconsistent() -> String {
    "The maps contradict themselves, which is a bug of Shunt: please report it with what `shunt dump -o json` \
     prints."
        .to_owned()
}

fn no_local_endpoint(maps: &impl MapReader, frontend: FrontendValue, name: &str) -> String {
    let policy = match FrontendKind::decode(frontend.kind()) {
        Some(FrontendKind::ClusterIp) => "internalTrafficPolicy",
        _ => "externalTrafficPolicy",
    };
    let elsewhere = maps.service(frontend.service).map_or(0, |entry| entry.cluster.count());
    format!(
        "{policy} is Local, and {name} has no usable endpoint on this node, but {elsewhere} on other nodes."
    )
}

/// A port that a ClusterIP does not serve, and those that it does.
fn unknown_port(maps: &impl MapReader, question: &Question) -> Result<String, WriteError> {
    let (address, port) = (question.address(), question.port());
    let place = place(maps, address.into())?;
    Ok(match place.service {
        Some((_, service)) => format!(
            "{address} is the ClusterIP of {service}, which serves {}, not {port}: the rest of a ClusterIP \
             is refused.",
            list(&place.ports),
        ),
        None => {
            format!("{address} is a ClusterIP without the port {port}: the rest of a ClusterIP is refused.")
        }
    })
}

fn unallocated(maps: &impl MapReader, question: &Question) -> Result<String, WriteError> {
    let address = question.address();
    let around = maps.prefixes()?.into_iter().filter_map(|(key, value)| match key {
        PrefixKey::Network(key) if value == Network::Services as u32 => {
            net(key.address, key.prefix_len).filter(|range| range.contains(&address))
        }
        _ => None,
    });
    Ok(match around.max_by_key(IpNet::prefix_len) {
        Some(range) => format!("{address} lies in the ServiceCIDR {range}, and no Service has it."),
        None => format!("{address} lies in a ServiceCIDR, and no Service has it."),
    })
}

fn ranges(maps: &impl MapReader, service: u32) -> Result<String, WriteError> {
    let mut ranges: Vec<_> = source_ranges(maps)?.filter(|(of, _)| *of == service).collect();
    ranges.sort_unstable();
    let texts: Vec<_> = ranges.iter().map(|(_, range)| range.to_string()).collect();
    Ok(list(&texts))
}

/// The range that lets a client use a load-balancer address.
pub(super) fn allowed(
    maps: &impl MapReader,
    question: &Question,
    service: u32,
) -> Result<String, WriteError> {
    let Some(source) = question.source.map(|source| source.to_canonical()) else { return Ok(String::new()) };
    let matching = source_ranges(maps)?.filter(|(of, range)| *of == service && range.contains(&source));
    Ok(match matching.map(|(_, range)| range).max_by_key(IpNet::prefix_len) {
        Some(range) => format!(" {source} lies in the source range {range}."),
        None => format!(" {source} is a load-balancer address of the Service itself, which may use them."),
    })
}

/// Where source ranges are judged, for clients that are sockets of this node.
pub(super) const fn where_ranges_hold(origin: Origin) -> &'static str {
    match origin {
        Origin::Outside => "",
        Origin::Pod | Origin::Node => {
            " A socket on this node is not pointed at an endpoint here, since its source address is not known \
             yet: the connection leaves as packets, which are judged on the devices that Shunt is attached to."
        }
    }
}
