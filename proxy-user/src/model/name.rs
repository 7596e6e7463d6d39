//! Names of objects and of service ports.

use super::{Family, Protocol};
use smol_str::SmolStr;
use std::fmt;

/// Namespace and name of an object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectName {
    /// `metadata.namespace`.
    pub namespace: SmolStr,
    /// `metadata.name`.
    pub name: SmolStr,
}

impl ObjectName {
    /// The object `name` in `namespace`.
    pub fn new(namespace: impl Into<SmolStr>, name: impl Into<SmolStr>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Identity of a service port in one family: namespace, name, port *name* and protocol, as
/// kube-proxy has it. Renaming a port is a delete and an add; TCP/53 and UDP/53 of one Service are
/// two service ports.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId {
    /// The Service.
    pub service: ObjectName,
    /// `spec.ports[].name`; empty where the only port has none.
    pub port: SmolStr,
    /// `spec.ports[].protocol`.
    pub protocol: Protocol,
    /// Each family is balanced on its own.
    pub family: Family,
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.service)?;
        if !self.port.is_empty() {
            write!(f, ":{}", self.port)?;
        }
        write!(f, " {} {}", self.protocol, self.family)
    }
}
