//! What a conversion gives back: the model object and the warnings.

use super::{
    api::Metadata,
    text::{NAME_RULE, is_dns_name, printable},
};
use crate::model::{EndpointSlice, Event, Node, ObjectName, Service, ServiceCidr};
use smol_str::SmolStr;
use std::fmt;

/// Namespace of an object that names none, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

/// A converted object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Converted<T> {
    /// The object; `None` where a service proxy ignores it. An object that becomes `None` counts as
    /// deleted.
    pub object: Option<T>,
    /// What was not taken as written, in the order of the fields.
    pub warnings: Vec<Warning>,
}

/// A field that was not taken as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// The object.
    pub object: ObjectId,
    /// The field, as `spec.ports[0].port`.
    pub field: String,
    /// What is wrong with it and what was done.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.object, self.field, self.text)
    }
}

/// Kind and name of an object that a service proxy reads. Ordered as the objects are best applied:
/// the node, then the networks of ClusterIPs, then Services, then their slices.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ObjectId {
    /// A Node.
    Node(SmolStr),
    /// A ServiceCIDR.
    ServiceCidr(SmolStr),
    /// A Service.
    Service(ObjectName),
    /// An EndpointSlice.
    EndpointSlice(ObjectName),
}

impl ObjectId {
    /// The event that says that this object is gone.
    #[must_use]
    pub fn deleted(&self) -> Event {
        match self {
            Self::Node(name) => Event::NodeDeleted(name.clone()),
            Self::ServiceCidr(name) => Event::ServiceCidrDeleted(name.clone()),
            Self::Service(name) => Event::ServiceDeleted(name.clone()),
            Self::EndpointSlice(name) => Event::SliceDeleted(name.clone()),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "Node {name}"),
            Self::ServiceCidr(name) => write!(f, "ServiceCIDR {name}"),
            Self::Service(name) => write!(f, "Service {name}"),
            Self::EndpointSlice(name) => write!(f, "EndpointSlice {name}"),
        }
    }
}

impl From<&Service> for ObjectId {
    fn from(object: &Service) -> Self {
        Self::Service(object.name.clone())
    }
}

impl From<&EndpointSlice> for ObjectId {
    fn from(object: &EndpointSlice) -> Self {
        Self::EndpointSlice(object.name.clone())
    }
}

impl From<&Node> for ObjectId {
    fn from(object: &Node) -> Self {
        Self::Node(object.name.clone())
    }
}

impl From<&ServiceCidr> for ObjectId {
    fn from(object: &ServiceCidr) -> Self {
        Self::ServiceCidr(object.name.clone())
    }
}

/// Warnings about one object, as they are found.
pub(super) struct Warnings {
    object: ObjectId,
    found: Vec<Warning>,
}

impl Warnings {
    pub(super) fn of(object: ObjectId) -> Self {
        Self { object, found: Vec::new() }
    }

    pub(super) fn add(&mut self, field: impl Into<String>, text: impl Into<String>) {
        let text = printable(text.into());
        self.found.push(Warning { object: self.object.clone(), field: field.into(), text });
    }

    /// False, with a warning, for a name that the API server would not let through. With a slash in it,
    /// the text that names a service port in the maps could not be taken apart again.
    pub(super) fn accept_name(&mut self, field: &str, name: &str) -> bool {
        if name.is_empty() {
            self.add(field, "is missing, the object is ignored");
        } else if !is_dns_name(name) {
            self.add(field, format!("{name:?} {NAME_RULE}, the object is ignored"));
        }
        is_dns_name(name)
    }

    pub(super) fn with<T>(self, object: Option<T>) -> Converted<T> {
        Converted { object, warnings: self.found }
    }
}

/// Namespace and name of a namespaced object; the name is empty where there is none.
pub(in crate::source) fn name_of(metadata: &Metadata<'_>) -> ObjectName {
    let namespace = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    ObjectName::new(namespace.unwrap_or(DEFAULT_NAMESPACE), metadata.name.as_deref().unwrap_or_default())
}
