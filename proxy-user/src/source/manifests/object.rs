//! One document's value → objects of the model: which kind it is, the API's type, the conversion.

use super::{
    problem::{Place, Problem},
    unknown,
};
use crate::{
    model::{self, Event},
    source::{
        Severity,
        kubernetes::{self, Converted, NAME_RULE, ObjectId, is_dns_name},
    },
};
use k8s_openapi::{
    Resource,
    api::{
        core::v1::{Node, Service},
        discovery::v1::EndpointSlice,
        networking::v1::ServiceCIDR,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use smol_str::SmolStr;

/// An object as it was last read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Object {
    Node(model::Node),
    ServiceCidr(model::ServiceCidr),
    Service(model::Service),
    EndpointSlice(model::EndpointSlice),
}

impl Object {
    /// The event that says that this object is there.
    pub(super) fn applied(&self) -> Event {
        match self {
            Self::Node(node) => Event::NodeApplied(node.clone()),
            Self::ServiceCidr(cidr) => Event::ServiceCidrApplied(cidr.clone()),
            Self::Service(service) => Event::ServiceApplied(service.clone()),
            Self::EndpointSlice(slice) => Event::SliceApplied(slice.clone()),
        }
    }
}

/// What became of an object in a document.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was read.
    Good(ObjectId, Object),
    /// It was read, and a service proxy ignores it.
    Ignored(ObjectId),
    /// It was not understood; with its name, where that much is known.
    Broken(Option<ObjectId>),
}

/// Everything found in one document.
#[derive(Default, Debug)]
pub(super) struct Found {
    pub(super) outcomes: Vec<(Place, Outcome)>,
    pub(super) problems: Vec<Problem>,
}

impl Found {
    /// Reads the object, or the List of objects, at `place`.
    pub(super) fn read(&mut self, place: &Place, value: Value) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            let missing = if text("kind").is_none() { "kind" } else { "apiVersion" };
            let what =
                if value.is_object() { format!("{missing}: is missing") } else { "is not an object".into() };
            return self.broken(place, None, what);
        };
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, kind) {
            ("", "Service") => self.object::<Service, _>(
                place,
                &value,
                |name| ObjectId::Service(name.namespaced()),
                kubernetes::service,
                Object::Service,
            ),
            ("", "Node") => self.object::<Node, _>(
                place,
                &value,
                |name| ObjectId::Node(name.name),
                kubernetes::node,
                Object::Node,
            ),
            ("discovery.k8s.io", "EndpointSlice") => self.object::<EndpointSlice, _>(
                place,
                &value,
                |name| ObjectId::EndpointSlice(name.namespaced()),
                |slice| kubernetes::endpoint_slice(&named_ports(slice)),
                Object::EndpointSlice,
            ),
            ("networking.k8s.io", "ServiceCIDR") => self.object::<ServiceCIDR, _>(
                place,
                &in_first_version(value),
                |name| ObjectId::ServiceCidr(name.name),
                kubernetes::service_cidr,
                Object::ServiceCidr,
            ),
            ("", "List" | "ServiceList" | "NodeList")
            | ("discovery.k8s.io", "EndpointSliceList")
            | ("networking.k8s.io", "ServiceCIDRList") => {
                let member = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
                let member = member.map(|kind| (version.to_owned(), kind.to_owned()));
                self.list(place, value, member);
            }
            _ => {
                let name = Name::of(&value).map_or_else(|_| SmolStr::default(), |name| name.name);
                let place = place.naming(format!("{kind} {name}").trim_end());
                let problem = match nearly(group, kind) {
                    Some(meant) => {
                        let text = format!("{kind} of {version} is not read; {meant} is: skipped");
                        place.problem(Severity::Warning, text)
                    }
                    None => {
                        let text = "not a kind that a service proxy reads, skipped";
                        place.problem(Severity::Info, text)
                    }
                };
                self.problems.push(problem);
            }
        }
    }

    /// Members of a typed list (`ServiceList`) may leave out the type that its name says.
    fn list(&mut self, place: &Place, mut value: Value, member: Option<(String, String)>) {
        let items = match value.get_mut("items").map(Value::take) {
            None | Some(Value::Null) => return,
            Some(Value::Array(items)) => items,
            Some(_) => return self.broken(place, None, "items: is not a list".into()),
        };
        for (index, mut item) in items.into_iter().enumerate() {
            if let (Some((version, kind)), Some(fields)) = (&member, item.as_object_mut()) {
                fields.entry("apiVersion").or_insert_with(|| version.as_str().into());
                fields.entry("kind").or_insert_with(|| kind.as_str().into());
            }
            self.read(&place.member(index), item);
        }
    }

    fn object<T: Resource + DeserializeOwned + Serialize, M>(
        &mut self,
        place: &Place,
        value: &Value,
        id: impl Fn(Name) -> ObjectId,
        convert: impl Fn(&T) -> Converted<M>,
        wrap: impl Fn(M) -> Object,
    ) {
        let id = match Name::of(value) {
            Ok(name) => id(name),
            Err(why) => return self.broken(place, None, why),
        };
        let place = place.naming(&id);
        let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if version != T::API_VERSION {
            let text = format!("apiVersion: {version:?} is not read, only {}", T::API_VERSION);
            return self.broken(&place, Some(id), text);
        }
        let parsed: T = match serde_path_to_error::deserialize(value) {
            Ok(parsed) => parsed,
            Err(error) => {
                let text = match error.path().to_string() {
                    // The object as a whole.
                    path if path == "." => error.inner().to_string(),
                    path => format!("{path}: {}", error.inner()),
                };
                return self.broken(&place, Some(id), text);
            }
        };
        if let Ok(understood) = serde_json::to_value(&parsed) {
            for field in unknown::fields(value, &understood) {
                let text = format!("{field}: unknown field, ignored");
                self.problems.push(place.problem(Severity::Warning, text));
            }
        }
        let Converted { object, warnings } = convert(&parsed);
        for warning in warnings {
            let text = format!("{}: {}", warning.field, warning.text);
            self.problems.push(place.problem(Severity::Warning, text));
        }
        let outcome = match object {
            Some(object) => Outcome::Good(id, wrap(object)),
            None => Outcome::Ignored(id),
        };
        self.outcomes.push((place, outcome));
    }

    /// Reports a document, or a member of a List, that is left out.
    pub(super) fn broken(&mut self, place: &Place, id: Option<ObjectId>, text: String) {
        self.problems.push(place.problem(Severity::Error, text));
        self.outcomes.push((place.clone(), Outcome::Broken(id)));
    }
}

/// The kind that was probably meant: one that is read, but for its case, its number or which of Kubernetes' own
/// groups it is in.
fn nearly(group: &str, kind: &str) -> Option<&'static str> {
    if !["", "discovery.k8s.io", "networking.k8s.io"].contains(&group) {
        return None;
    }
    let written = kind.to_ascii_lowercase();
    let kinds = [
        ("service", "Service of v1"),
        ("node", "Node of v1"),
        ("endpointslice", "EndpointSlice of discovery.k8s.io/v1"),
        ("servicecidr", "ServiceCIDR of networking.k8s.io/v1"),
        ("list", "List of v1"),
    ];
    kinds.iter().find(|(name, _)| written.trim_end_matches('s') == *name).map(|(_, meant)| *meant)
}

/// `metadata.name` and `metadata.namespace` of a value, before its type is known to be right.
struct Name {
    namespace: SmolStr,
    name: SmolStr,
}

impl Name {
    /// The names, or what the API server would say against them.
    fn of(value: &Value) -> Result<Self, String> {
        let text = |field: &str| match value.get("metadata").and_then(|metadata| metadata.get(field)) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) if text.is_empty() || is_dns_name(text) => Ok(text.as_str()),
            Some(other) => Err(format!("metadata.{field}: {other} {NAME_RULE}")),
        };
        let (name, namespace) = (text("name")?, text("namespace")?);
        if name.is_empty() {
            return Err("metadata.name: is missing".into());
        }
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    fn namespaced(self) -> model::ObjectName {
        model::ObjectName::new(self.namespace, self.name)
    }
}

/// The slice with the API server's default for a port's name, which no server has filled in here. A
/// proxy ignores a port whose name is missing; the server never lets one through.
fn named_ports(slice: &EndpointSlice) -> EndpointSlice {
    let mut slice = slice.clone();
    for port in slice.ports.iter_mut().flatten() {
        port.name.get_or_insert_default();
    }
    slice
}

/// A ServiceCIDR of v1beta1 (Kubernetes 1.31 and 1.32) as one of v1, which has the same fields.
fn in_first_version(mut object: Value) -> Value {
    match object.get_mut("apiVersion") {
        Some(version) if version == "networking.k8s.io/v1beta1" => *version = ServiceCIDR::API_VERSION.into(),
        _ => {}
    }
    object
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
