//! From the full types of `k8s-openapi`: their texts are borrowed.

use super::{
    EndpointSlice, Metadata, Node, Service, ServiceCidr, Text,
    metadata::Chosen,
    node::{NodeAddress, NodeSpec, NodeStatus, ServiceCidrSpec, Taint},
    service::{
        ClientIpConfig, LoadBalancerIngress, LoadBalancerStatus, ServicePort, ServiceSpec, ServiceStatus,
        SessionAffinityConfig,
    },
    slice::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, First, Hint},
};
use k8s_openapi::{
    api::{core::v1 as core, discovery::v1 as discovery, networking::v1 as networking},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

fn text(text: &Option<String>) -> Option<Text<'_>> {
    text.as_ref().map(Text::from)
}

fn texts(texts: &Option<Vec<String>>) -> Option<Vec<Text<'_>>> {
    texts.as_ref().map(|texts| texts.iter().map(Text::from).collect())
}

impl<'a> From<&'a ObjectMeta> for Metadata<'a> {
    fn from(full: &'a ObjectMeta) -> Self {
        Self {
            name: text(&full.name),
            namespace: text(&full.namespace),
            creation_timestamp: full.creation_timestamp.clone(),
            deletion_timestamp: full.deletion_timestamp.clone(),
            resource_version: text(&full.resource_version),
            labels: Chosen::of(full.labels.iter().flatten()),
            annotations: Chosen::of(full.annotations.iter().flatten()),
        }
    }
}

impl<'a> From<&'a core::Service> for Service<'a> {
    fn from(full: &'a core::Service) -> Self {
        Self {
            metadata: (&full.metadata).into(),
            spec: full.spec.as_ref().map(spec),
            status: full.status.as_ref().map(|status| ServiceStatus {
                load_balancer: status.load_balancer.as_ref().map(|status| LoadBalancerStatus {
                    ingress: status.ingress.as_ref().map(|ingress| ingress.iter().map(ingress_of).collect()),
                }),
            }),
        }
    }
}

fn ingress_of(full: &core::LoadBalancerIngress) -> LoadBalancerIngress<'_> {
    LoadBalancerIngress { ip: text(&full.ip), ip_mode: text(&full.ip_mode) }
}

fn spec(full: &core::ServiceSpec) -> ServiceSpec<'_> {
    ServiceSpec {
        type_: text(&full.type_),
        cluster_ip: text(&full.cluster_ip),
        cluster_ips: texts(&full.cluster_ips),
        ip_families: texts(&full.ip_families),
        ports: full.ports.as_ref().map(|ports| ports.iter().map(service_port).collect()),
        external_ips: texts(&full.external_ips),
        internal_traffic_policy: text(&full.internal_traffic_policy),
        external_traffic_policy: text(&full.external_traffic_policy),
        session_affinity: text(&full.session_affinity),
        session_affinity_config: full.session_affinity_config.as_ref().map(|config| SessionAffinityConfig {
            client_ip: config
                .client_ip
                .as_ref()
                .map(|config| ClientIpConfig { timeout_seconds: config.timeout_seconds }),
        }),
        load_balancer_source_ranges: texts(&full.load_balancer_source_ranges),
        health_check_node_port: full.health_check_node_port,
    }
}

fn service_port(full: &core::ServicePort) -> ServicePort<'_> {
    ServicePort {
        name: text(&full.name),
        protocol: text(&full.protocol),
        port: Some(full.port),
        node_port: full.node_port,
    }
}

impl<'a> From<&'a discovery::EndpointSlice> for EndpointSlice<'a> {
    fn from(full: &'a discovery::EndpointSlice) -> Self {
        Self {
            metadata: (&full.metadata).into(),
            address_type: Some((&full.address_type).into()),
            ports: full.ports.as_ref().map(|ports| ports.iter().map(slice_port).collect()),
            endpoints: Some(full.endpoints.iter().map(endpoint).collect()),
        }
    }
}

fn slice_port(full: &discovery::EndpointPort) -> EndpointPort<'_> {
    EndpointPort { name: text(&full.name), protocol: text(&full.protocol), port: full.port }
}

fn endpoint(full: &discovery::Endpoint) -> Endpoint<'_> {
    Endpoint {
        addresses: Some(First(full.addresses.first().map(Text::from))),
        conditions: full.conditions.as_ref().map(|given| EndpointConditions {
            ready: given.ready,
            serving: given.serving,
            terminating: given.terminating,
        }),
        node_name: text(&full.node_name),
        hints: full.hints.as_ref().map(|hints| EndpointHints {
            for_zones: hints
                .for_zones
                .as_ref()
                .map(|zones| zones.iter().map(|zone| Hint { name: Some((&zone.name).into()) }).collect()),
            for_nodes: hints
                .for_nodes
                .as_ref()
                .map(|nodes| nodes.iter().map(|node| Hint { name: Some((&node.name).into()) }).collect()),
        }),
    }
}

impl<'a> From<&'a core::Node> for Node<'a> {
    fn from(full: &'a core::Node) -> Self {
        Self {
            metadata: (&full.metadata).into(),
            spec: full.spec.as_ref().map(|spec| NodeSpec {
                pod_cidr: text(&spec.pod_cidr),
                pod_cidrs: texts(&spec.pod_cidrs),
                taints: spec.taints.as_ref().map(|taints| {
                    taints.iter().map(|taint| Taint { key: Some((&taint.key).into()) }).collect()
                }),
            }),
            status: full.status.as_ref().map(|status| NodeStatus {
                addresses: status
                    .addresses
                    .as_ref()
                    .map(|addresses| addresses.iter().map(node_address).collect()),
            }),
        }
    }
}

fn node_address(full: &core::NodeAddress) -> NodeAddress<'_> {
    NodeAddress { type_: Some((&full.type_).into()), address: Some((&full.address).into()) }
}

impl<'a> From<&'a networking::ServiceCIDR> for ServiceCidr<'a> {
    fn from(full: &'a networking::ServiceCIDR) -> Self {
        Self {
            metadata: (&full.metadata).into(),
            spec: full.spec.as_ref().map(|spec| ServiceCidrSpec { cidrs: texts(&spec.cidrs) }),
        }
    }
}
