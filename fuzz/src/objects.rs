//! Bytes as a history of API objects: through the conversion, which must say what it did not take as
//! written, to an agent that is synced, restarted and emptied in between.

use super::{
    agent::{self, Agent},
    bytes::Bytes,
    generate, manifests, sound, warning,
};
use k8s_openapi::{
    Metadata,
    api::{
        core::v1::{Node, Service},
        discovery::v1::EndpointSlice,
        networking::v1::ServiceCIDR,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    serde::de::DeserializeOwned,
};
use serde_json::Value;
use shunt::{
    model::{self, Event, ObjectName},
    source::kubernetes::{self, Converted, ObjectId, Warning},
};

/// Steps of one history.
const STEPS: usize = 64;

/// Plays the history that `bytes` tell. Never a panic; a sound Service is served all the time, and what else
/// is sound as the rules say; the order of events leaves no trace; and once all is deleted the maps are
/// empty.
pub fn objects(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let capacities = if bytes.once_in(4) { agent::tiny() } else { agent::ample() };
    let mut history = History { agent: Agent::start(&capacities, sound::events()), written: Vec::new() };
    let as_manifests = bytes.once_in(8);
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        history.step(&mut bytes);
    }
    let History { mut agent, written } = history;
    agent.sync();
    agent.assert_history_leaves_no_trace();
    let deletions = agent.world().deletions();
    agent.end(deletions);
    if as_manifests {
        manifests::inside_list(written);
    }
}

struct History {
    agent: Agent,
    /// Every object, whatever became of it.
    written: Vec<Value>,
}

impl History {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(16) {
            0..=3 => self.service(generate::service(bytes)),
            4..=8 => self.slice(generate::endpoint_slice(bytes)),
            9 => self.service_cidr(generate::service_cidr(bytes)),
            10 => self.node(generate::node(bytes)),
            11 => self.agent.apply(Event::LocalAddresses(generate::local_addresses(bytes))),
            12 => self.delete(bytes.byte()),
            13 => self.agent.restart(bytes.once_in(2)),
            _ => self.agent.sync(),
        }
    }

    fn service(&mut self, value: Value) {
        let faithful = |written: &Service, taken: &model::Service, warnings: &[Warning]| {
            let Some(spec) = &written.spec else { return };
            let ranges = spec.load_balancer_source_ranges.as_ref();
            for (path, written, taken) in [
                ("spec.ports", len(spec.ports.as_ref()), taken.ports.len()),
                ("spec.externalIPs", len(spec.external_ips.as_ref()), taken.external_ips.len()),
                ("spec.loadBalancerSourceRanges", len(ranges), taken.source_ranges.len()),
            ] {
                warning::assert_taken(path, written, taken, warnings);
            }
        };
        self.take(value, ObjectId::Service, kubernetes::service, Event::ServiceApplied, faithful);
    }

    fn slice(&mut self, value: Value) {
        let faithful = |written: &EndpointSlice, taken: &model::EndpointSlice, warnings: &[Warning]| {
            warning::assert_taken("ports", len(written.ports.as_ref()), taken.ports.len(), warnings);
            warning::assert_taken("endpoints", written.endpoints.len(), taken.endpoints.len(), warnings);
        };
        self.take(value, ObjectId::EndpointSlice, kubernetes::endpoint_slice, Event::SliceApplied, faithful);
    }

    fn node(&mut self, value: Value) {
        let id = |name: ObjectName| ObjectId::Node(name.name);
        let faithful = |written: &Node, taken: &model::Node, warnings: &[Warning]| {
            // Without a list there may be the older single field.
            if let Some(cidrs) = written.spec.as_ref().and_then(|spec| spec.pod_cidrs.as_ref())
                && !cidrs.is_empty()
            {
                warning::assert_taken("spec.podCIDRs", cidrs.len(), taken.pod_cidrs.len(), warnings);
            }
        };
        self.take(value, id, kubernetes::node, Event::NodeApplied, faithful);
    }

    fn service_cidr(&mut self, value: Value) {
        let id = |name: ObjectName| ObjectId::ServiceCidr(name.name);
        let faithful = |written: &ServiceCIDR, taken: &model::ServiceCidr, warnings: &[Warning]| {
            let cidrs = written.spec.as_ref().and_then(|spec| spec.cidrs.as_ref());
            warning::assert_taken("spec.cidrs", len(cidrs), taken.cidrs.len(), warnings);
        };
        self.take(value, id, kubernetes::service_cidr, Event::ServiceCidrApplied, faithful);
    }

    /// Converts an object and applies it. One that is not even of its type never gets past the API's
    /// decoder. `faithful` compares what was written with what was taken.
    fn take<T: Metadata<Ty = ObjectMeta> + DeserializeOwned, M>(
        &mut self,
        value: Value,
        id: impl Fn(ObjectName) -> ObjectId,
        convert: impl Fn(&T) -> Converted<M>,
        applied: impl Fn(M) -> Event,
        faithful: impl Fn(&T, &M, &[Warning]),
    ) {
        if let Ok(written) = serde_json::from_value::<T>(value.clone()) {
            let id = id(name_of(written.metadata()));
            let Converted { object, warnings } = convert(&written);
            for warning in &warnings {
                warning::assert_names_object_and_field(warning, &id, &value);
            }
            if let Some(object) = &object {
                faithful(&written, object, &warnings);
            }
            // What a service proxy ignores counts as deleted.
            let event = object.map_or_else(|| id.deleted(), applied);
            assert!(!sound::concerns(&event), "the generator leaves the sound Service alone: {event:?}");
            self.agent.apply(event);
        }
        self.written.push(value);
    }

    /// Deletes one of the objects, but for the sound ones.
    fn delete(&mut self, which: u8) {
        let deletions = self.agent.world().deletions();
        let others: Vec<_> = deletions.into_iter().filter(|event| !sound::ends(event)).collect();
        if let Some(event) = others.get(usize::from(which) % others.len().max(1)) {
            self.agent.apply(event.clone());
        }
    }
}

fn len<T>(list: Option<&Vec<T>>) -> usize {
    list.map_or(0, Vec::len)
}

/// Namespace and name, as a conversion has to read them.
fn name_of(metadata: &ObjectMeta) -> ObjectName {
    let namespace = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    ObjectName::new(namespace.unwrap_or("default"), metadata.name.as_deref().unwrap_or_default())
}
