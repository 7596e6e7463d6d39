//! Service → [`model::Service`].

use super::{
    Converted, ObjectId,
    address::{parse_cidrs, parse_frontend, parse_list, parse_usable},
    api,
    converted::{Warnings, name_of},
    port,
};
use crate::model::{self, Family, ServicePort, ServiceType, TrafficPolicy};
use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use smol_str::SmolStr;
use std::net::IpAddr;

const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// `clusterIP` of a headless Service.
const NO_ADDRESS: &str = "None";
/// Affinity timeout where none is given, and the longest one the API server accepts; seconds.
const DEFAULT_AFFINITY: u32 = 10_800;
const LONGEST_AFFINITY: u32 = 86_400;

/// A Service of any type. Services that are not to be programmed (headless, ExternalName, another
/// proxy's) are returned all the same, marked as such; only one without a name that can be is ignored.
#[must_use]
pub fn service(object: &core::Service) -> Converted<model::Service> {
    convert(&object.into())
}

pub(in crate::source) fn convert(object: &api::Service<'_>) -> Converted<model::Service> {
    let name = name_of(&object.metadata);
    let mut warnings = Warnings::of(ObjectId::Service(name.clone()));
    if !(warnings.accept_name("metadata.name", &name.name)
        && warnings.accept_name("metadata.namespace", &name.namespace))
    {
        return warnings.with(None);
    }
    let absent = api::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&absent);

    let kind = kind(spec, &mut warnings);
    let headless = is_headless(spec);
    let programmed = !headless && kind != ServiceType::ExternalName;
    let converted = model::Service {
        created: object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
        foreign_proxy: object.metadata.label(PROXY_NAME).is_some(),
        kind,
        headless,
        cluster_ips: if programmed { cluster_ips(spec, &mut warnings) } else { Vec::new() },
        ports: ports(spec, programmed, &mut warnings),
        external_ips: parse_list(spec.external_ips.iter().flatten(), |index, why| {
            warnings.add(format!("spec.externalIPs[{index}]"), why);
        }),
        load_balancer_ips: load_balancer_ips(object.status.as_ref(), &mut warnings),
        internal_policy: policy(
            "spec.internalTrafficPolicy",
            spec.internal_traffic_policy.as_deref(),
            &mut warnings,
        ),
        external_policy: policy(
            "spec.externalTrafficPolicy",
            spec.external_traffic_policy.as_deref(),
            &mut warnings,
        ),
        affinity_seconds: affinity(spec, &mut warnings),
        source_ranges: source_ranges(spec, &mut warnings),
        health_check_node_port: port::optional_number(spec.health_check_node_port).unwrap_or_else(|why| {
            warnings.add("spec.healthCheckNodePort", format!("{why}, ignored"));
            None
        }),
        name,
    };
    warnings.with(Some(converted))
}

fn kind(spec: &api::ServiceSpec<'_>, warnings: &mut Warnings) -> ServiceType {
    match spec.type_.as_deref() {
        None | Some("" | "ClusterIP") => ServiceType::ClusterIp,
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => ServiceType::ExternalName,
        Some(other) => {
            warnings.add("spec.type", format!("unknown type {other:?}, taken as ClusterIP"));
            ServiceType::ClusterIp
        }
    }
}

fn policy(field: &str, value: Option<&str>, warnings: &mut Warnings) -> TrafficPolicy {
    match value {
        None | Some("" | "Cluster") => TrafficPolicy::Cluster,
        Some("Local") => TrafficPolicy::Local,
        Some(other) => {
            warnings.add(field, format!("unknown policy {other:?}, taken as Cluster"));
            TrafficPolicy::Cluster
        }
    }
}

fn is_headless(spec: &api::ServiceSpec<'_>) -> bool {
    let first = spec.cluster_ips.as_ref().and_then(|addresses| addresses.first());
    spec.cluster_ip.as_deref() == Some(NO_ADDRESS) || first.is_some_and(|first| &**first == NO_ADDRESS)
}

/// `clusterIPs`, or `clusterIP` where that list is empty (objects older than Kubernetes 1.20, and
/// hand-written ones). With `ipFamilies` given, an entry counts only in the family of its place.
fn cluster_ips(spec: &api::ServiceSpec<'_>, warnings: &mut Warnings) -> Vec<IpAddr> {
    let single = spec.cluster_ip.as_deref().filter(|address| !address.is_empty());
    let listed = spec.cluster_ips.as_deref().unwrap_or_default();
    let texts: Vec<(String, &str)> = if listed.is_empty() {
        single.map(|address| ("spec.clusterIP".to_owned(), address)).into_iter().collect()
    } else {
        let field = |index| format!("spec.clusterIPs[{index}]");
        listed.iter().enumerate().map(|(index, address)| (field(index), &**address)).collect()
    };
    if let (Some(single), Some(first)) = (single, listed.first())
        && single != &**first
    {
        warnings
            .add("spec.clusterIP", format!("{single:?} is not clusterIPs[0] {:?}, which counts", &**first));
    }
    if texts.is_empty() {
        warnings.add("spec.clusterIP", "is missing (the API server would choose one): no address is served");
    }

    let families = spec.ip_families.as_deref().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(2);
    for (index, (field, text)) in texts.into_iter().enumerate() {
        let address = match parse_usable(text) {
            Ok(address) => address,
            Err(why) => {
                warnings.add(field, format!("{text:?} {why}, ignored"));
                continue;
            }
        };
        let family = Family::of(&address);
        let wanted = families.get(index).map_or("", |family| family);
        if !families.is_empty() && wanted != family.to_string() {
            let why = if wanted.is_empty() {
                "has no entry in spec.ipFamilies".to_owned()
            } else {
                format!("is not {wanted} as spec.ipFamilies[{index}] says")
            };
            warnings.add(field, format!("{text:?} {why}, ignored"));
        } else if addresses.iter().any(|other| Family::of(other) == family) {
            warnings.add(field, format!("{text:?} is a second {family} address, ignored"));
        } else {
            addresses.push(address);
        }
    }
    addresses
}

fn ports(spec: &api::ServiceSpec<'_>, programmed: bool, warnings: &mut Warnings) -> Vec<ServicePort> {
    let listed = spec.ports.as_deref().unwrap_or_default();
    if listed.is_empty() && programmed {
        warnings.add("spec.ports", "is empty, so nothing is served");
    }
    let mut ports: Vec<ServicePort> = Vec::with_capacity(listed.len());
    for (index, entry) in listed.iter().enumerate() {
        let given = entry.port.unwrap_or(0);
        let Some(number) = port::number(given) else {
            let why = port::out_of_range(given);
            warnings.add(format!("spec.ports[{index}].port"), format!("{why}, port ignored"));
            continue;
        };
        let protocol = match port::protocol(entry.protocol.as_deref()) {
            Ok(protocol) => protocol,
            Err(why) => {
                warnings.add(format!("spec.ports[{index}].protocol"), format!("{why}, port ignored"));
                continue;
            }
        };
        let node_port = port::optional_number(entry.node_port).unwrap_or_else(|why| {
            warnings.add(format!("spec.ports[{index}].nodePort"), format!("{why}, nodePort ignored"));
            None
        });
        let name = SmolStr::new(entry.name.as_deref().unwrap_or_default());
        if !port::is_name(&name) {
            let text = "is not a name of at most 63 letters, digits and '-', port ignored";
            warnings.add(format!("spec.ports[{index}].name"), text);
            continue;
        }
        let converted = ServicePort { name, protocol, port: number, node_port };
        // Name and protocol are a service port's identity; kube-proxy's map keeps the last one.
        match ports.iter_mut().find(|other| other.name == converted.name && other.protocol == protocol) {
            Some(earlier) => {
                let text =
                    format!("a second {protocol} port of this name; it replaces port {}", earlier.port);
                warnings.add(format!("spec.ports[{index}].name"), text);
                *earlier = converted;
            }
            None => ports.push(converted),
        }
    }
    ports
}

/// Addresses that in-cluster traffic may be kept from (KEP-1860): `ipMode: Proxy` means that traffic
/// must really reach the load balancer, so such an address is not served. An ingress with a host name
/// only has no address.
fn load_balancer_ips(status: Option<&api::ServiceStatus<'_>>, warnings: &mut Warnings) -> Vec<IpAddr> {
    let ingress = status.and_then(|status| status.load_balancer.as_ref()?.ingress.as_deref());
    let mut addresses = Vec::new();
    for (index, entry) in ingress.unwrap_or_default().iter().enumerate() {
        let Some(text) = entry.ip.as_deref().filter(|address| !address.is_empty()) else { continue };
        let field = |name| format!("status.loadBalancer.ingress[{index}].{name}");
        match entry.ip_mode.as_deref() {
            None | Some("VIP") => {}
            Some("Proxy") => continue,
            Some(other) => {
                let text = format!("{other:?} is not VIP or Proxy, address ignored");
                warnings.add(field("ipMode"), text);
                continue;
            }
        }
        match parse_frontend(text) {
            Ok(address) => addresses.push(address),
            Err(why) => warnings.add(field("ip"), format!("{text:?} {why}, ignored")),
        }
    }
    addresses
}

fn affinity(spec: &api::ServiceSpec<'_>, warnings: &mut Warnings) -> Option<u32> {
    match spec.session_affinity.as_deref() {
        None | Some("" | "None") => return None,
        Some("ClientIP") => {}
        Some(other) => {
            warnings.add("spec.sessionAffinity", format!("unknown affinity {other:?}, taken as None"));
            return None;
        }
    }
    let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let Some(given) = config.and_then(|config| config.timeout_seconds) else { return Some(DEFAULT_AFFINITY) };
    match u32::try_from(given) {
        Ok(seconds @ 1..=LONGEST_AFFINITY) => Some(seconds),
        Ok(seconds) if seconds > LONGEST_AFFINITY => {
            warnings.add(field, format!("{given} is more than a day, taken as {LONGEST_AFFINITY}"));
            Some(LONGEST_AFFINITY)
        }
        _ => {
            warnings.add(field, format!("{given} is not positive, taken as {DEFAULT_AFFINITY}"));
            Some(DEFAULT_AFFINITY)
        }
    }
}

/// What is no CIDR is left out, as kube-proxy does it. Where none is left, nobody is kept away: that is said too.
fn source_ranges(spec: &api::ServiceSpec<'_>, warnings: &mut Warnings) -> Vec<IpNet> {
    let listed = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    let ranges = parse_cidrs(listed, |index, why| {
        warnings.add(format!("spec.loadBalancerSourceRanges[{index}]"), why);
    });
    if ranges.is_empty() && !listed.is_empty() {
        let text = "has no valid range left: every client may use the load balancer's addresses";
        warnings.add("spec.loadBalancerSourceRanges", text);
    }
    ranges
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
