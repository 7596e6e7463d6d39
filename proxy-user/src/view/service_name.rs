//! The name of a service port, as far as it is known.

use crate::model::{ObjectName, PortId};
use smol_str::SmolStr;
use std::fmt;

/// A Service, and which of its ports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ServiceName {
    /// The Service.
    pub service: ObjectName,
    /// Name of the port, empty where the only one has none; `None` for none of its ports.
    pub port: Option<SmolStr>,
}

impl From<PortId> for ServiceName {
    fn from(id: PortId) -> Self {
        Self { service: id.service, port: Some(id.port) }
    }
}

/// `namespace/name:port`, or `namespace/name` where there is no name of a port.
impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Some(port) if !port.is_empty() => write!(f, "{}:{port}", self.service),
            _ => self.service.fmt(f),
        }
    }
}
