//! A cluster of every sort of Service, as an API server lists it; and the same cluster told in other ways.

use crate::objects::{NODE, applied};
use serde_json::{Value, json};
use shunt::model::Event;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

/// Endpoints of most services.
const FEW: u32 = 10;

/// Endpoints of a slice at most, as the EndpointSlice controller has it.
const PER_SLICE: usize = 100;

/// How many Services and how many endpoints, of which the first Service has what the others leave.
#[derive(Clone, Copy)]
pub struct Size {
    pub services: u32,
    pub endpoints: u32,
}

/// All objects.
#[derive(Clone)]
pub struct Cluster {
    pub services: Vec<Value>,
    pub slices: Vec<Value>,
    others: Vec<Value>,
}

/// Numbers by chance, the same each time.
pub struct Random(pub u64);

impl Random {
    pub const fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for place in (1..list.len()).rev() {
            list.swap(place, self.below(place + 1));
        }
    }
}

pub fn name(number: u32) -> String {
    format!("svc-{number:05}")
}

fn v4(base: u32, number: u32) -> String {
    Ipv4Addr::from(base + number).to_string()
}

fn v6(base: u128, number: u32) -> String {
    Ipv6Addr::from(base + u128::from(number)).to_string()
}

/// A Service by its number: of every sort there is one in so many.
fn service(number: u32) -> Value {
    let is = |every: u32, rest: u32| number % every == rest;
    let port =
        |name: &str, protocol: &str, port: u32| json!({"name": name, "protocol": protocol, "port": port});
    let mut ports = vec![port("http", "TCP", 80)];
    if is(5, 0) {
        ports.push(port("metrics", "TCP", 9_100));
    }
    if is(7, 0) {
        ports.push(port("dns", "UDP", 53));
    }
    let cluster_ip = v4(0x0a60_0000, number + 1);
    let mut spec = json!({"type": "ClusterIP", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip]});
    if is(40, 4) {
        spec["clusterIPs"] = json!([cluster_ip, v6(0xfd00_0096 << 96, number + 1)]);
        spec["ipFamilies"] = json!(["IPv4", "IPv6"]);
    }
    if is(10, 0) {
        spec["type"] = json!("NodePort");
        ports[0]["nodePort"] = json!(30_000 + number / 10);
    }
    let mut status = json!({});
    if is(50, 1) {
        spec["type"] = json!("LoadBalancer");
        spec["loadBalancerSourceRanges"] = json!(["198.51.100.0/24", v4(0xcb00_7100, number % 256)]);
        status = json!({"loadBalancer": {"ingress": [{"ip": v4(0xc633_0000, number)}]}});
    }
    if is(25, 2) {
        spec["sessionAffinity"] = json!("ClientIP");
        spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": 600}});
    }
    if is(30, 3) {
        // Two Services claim each.
        spec["externalIPs"] = json!([v4(0xc000_0200, number / 60)]);
    }
    if is(60, 5) {
        spec["internalTrafficPolicy"] = json!("Local");
    }
    spec["ports"] = ports.into();
    let metadata = json!({
        "name": name(number), "namespace": "shop", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": status})
}

/// An endpoint of a service, and how it is.
fn endpoint(address: String, service: u32, place: u32, of: u32) -> Value {
    let drains = service % 9 == 6 && place + 1 == of;
    let node =
        if service.is_multiple_of(8) && place == 0 { NODE.into() } else { format!("node-{}", place % 7) };
    json!({
        "addresses": [address], "nodeName": node,
        "conditions": {"ready": !drains, "serving": true, "terminating": drains},
        "targetRef": {"kind": "Pod", "name": address},
    })
}

/// The slice of a service with this name, and these endpoints.
fn slice(slice: &str, service: u32, family: &str, endpoints: &[Value]) -> Value {
    let port =
        |name: &str, protocol: &str, port: u32| json!({"name": name, "protocol": protocol, "port": port});
    let ports = [port("http", "TCP", 8_080), port("metrics", "TCP", 9_100), port("dns", "UDP", 5_353)];
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": slice, "namespace": "shop", "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": name(service)},
        },
        "addressType": family, "ports": ports, "endpoints": endpoints,
    })
}

impl Cluster {
    /// One Service has very many endpoints, one in twenty none, some have those of two families, some draining ones.
    pub fn new(size: Size) -> Self {
        let count = |number: u32| if number % 20 == 19 { 0 } else { FEW };
        let large = size.endpoints - (1..size.services).map(count).sum::<u32>();
        let (mut slices, mut address) = (Vec::new(), 0);
        for number in 0..size.services {
            let count = if number == 0 { large } else { count(number) };
            let mut endpoints = [Vec::new(), Vec::new()];
            for place in 0..count {
                address += 1;
                if number % 40 == 4 && place >= count / 2 {
                    endpoints[1].push(endpoint(v6(0xfd00_0244 << 96, address), number, place, count));
                } else {
                    endpoints[0].push(endpoint(v4(0x0a80_0000, address), number, place, count));
                }
            }
            let per_slice = if number % 50 == 0 && number > 0 { 4 } else { PER_SLICE };
            for (family, endpoints) in ["IPv4", "IPv6"].into_iter().zip(endpoints) {
                for (place, endpoints) in endpoints.chunks(per_slice).enumerate() {
                    let name = format!("{}-{family}-{place}", name(number)).to_lowercase();
                    slices.push(slice(&name, number, family, endpoints));
                }
            }
        }
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "resourceVersion": "1"},
            "spec": {"podCIDRs": ["10.127.0.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.7"}]},
        });
        let cidr = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes", "resourceVersion": "1"}, "spec": {"cidrs": ["10.96.0.0/12"]},
        });
        Self { services: (0..size.services).map(service).collect(), slices, others: vec![node, cidr] }
    }

    /// Every object.
    pub fn objects(&self) -> impl Iterator<Item = &Value> {
        self.slices.iter().chain(&self.services).chain(&self.others)
    }

    /// What a source makes of it.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.objects().filter_map(applied)
    }

    /// The Service with a number.
    pub fn service(&mut self, number: u32) -> &mut Value {
        self.services.iter_mut().find(|service| service["metadata"]["name"] == name(number)).unwrap()
    }

    /// The endpoints of the first slice of a service.
    pub fn endpoints(&mut self, number: u32) -> &mut Vec<Value> {
        let mut slices = self.slices.iter_mut();
        slices.find(|slice| owner(slice) == name(number)).unwrap()["endpoints"].as_array_mut().unwrap()
    }

    /// Removes a Service and its slices.
    pub fn remove(&mut self, number: u32) {
        self.services.retain(|service| service["metadata"]["name"] != name(number));
        self.slices.retain(|slice| owner(slice) != name(number));
    }

    /// Adds a plain Service with so many endpoints, whose number nobody has.
    pub fn add(&mut self, number: u32, endpoints: u32) {
        self.services.push(service(number));
        let endpoints: Vec<_> = (0..endpoints).map(|place| fresh(number, place, endpoints)).collect();
        self.slices.push(slice(&format!("{}-new", name(number)), number, "IPv4", &endpoints));
    }

    /// The same objects in another order, and their lists too.
    pub fn shuffled(&self, random: &mut Random) -> Self {
        let mut other = self.clone();
        random.shuffle(&mut other.services);
        random.shuffle(&mut other.slices);
        for slice in &mut other.slices {
            random.shuffle(slice["endpoints"].as_array_mut().unwrap());
            random.shuffle(slice["ports"].as_array_mut().unwrap());
        }
        other
    }

    /// The same objects at other versions, with annotations and labels that mean nothing to a node.
    pub fn at_versions(&self, first: u32) -> Self {
        let mut other = self.clone();
        let objects = other.services.iter_mut().chain(&mut other.slices).chain(&mut other.others);
        for (number, object) in (first..).zip(objects) {
            object["metadata"]["resourceVersion"] = json!(number.to_string());
            object["metadata"]["annotations"] = json!({"checked": number.to_string()});
            object["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
        }
        other
    }

    /// The same endpoints in other slices.
    pub fn resharded(&self, random: &mut Random) -> Self {
        let mut all: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
        for slice in &self.slices {
            let family = slice["addressType"].as_str().unwrap().to_owned();
            let endpoints = slice["endpoints"].as_array().unwrap().iter().cloned();
            all.entry((owner(slice), family)).or_default().extend(endpoints);
        }
        let mut slices = Vec::new();
        for ((owner, family), mut endpoints) in all {
            random.shuffle(&mut endpoints);
            let number = owner.trim_start_matches("svc-").parse().unwrap();
            let most = if endpoints.len() > PER_SLICE { PER_SLICE } else { 2 + random.below(6) };
            for (place, endpoints) in endpoints.chunks(most).enumerate() {
                let name = format!("{owner}-{}{place}", family.to_lowercase());
                slices.push(slice(&name, number, &family, endpoints));
            }
        }
        Self { slices, ..self.clone() }
    }
}

/// An endpoint that nobody had before.
pub fn fresh(number: u32, place: u32, of: u32) -> Value {
    endpoint(v4(0x0af8_0000, number * 64 + place), number, place, of)
}

/// The Service of a slice.
fn owner(slice: &Value) -> String {
    slice["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap().to_owned()
}
