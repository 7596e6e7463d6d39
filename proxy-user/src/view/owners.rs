//! Whom a dialled address belongs to: for decisions that were made before a service port was found.

use super::{FrontendKind, KeyParts, ServiceName, port_id};
use crate::writer::{FrontendKey, MapReader, WriteError};
use ahash::AHashMap;
use proxy_common::abi::{Address, Scope, TraceEvent};

/// Every frontend's service port, as it was at one moment.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    frontends: AHashMap<FrontendKey, u32>,
    /// A service port of the Service that has a ClusterIP.
    cluster_ips: AHashMap<Address, u32>,
}

impl Owners {
    /// Reads the frontends.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn read(reader: &impl MapReader) -> Result<Self, WriteError> {
        let mut owners = Self::default();
        for (key, value) in reader.frontends()? {
            let Some(kind) = FrontendKind::decode(value.kind()) else { continue };
            if kind == FrontendKind::ClusterIp {
                owners.cluster_ips.insert(KeyParts::of(&key).address, value.service);
            }
            owners.frontends.insert(key, value.service);
        }
        Ok(owners)
    }

    /// The service port that the client of a decision named, or the Service alone where it has no such port. Names are
    /// read anew each time.
    #[must_use]
    pub fn name(&self, reader: &impl MapReader, event: &TraceEvent) -> Option<ServiceName> {
        let (address, port) = (event.before.destination.to_ip(), u16::from_be(event.before.destination_port));
        let protocol = u8::try_from(event.before.protocol).ok()?;
        let find = |address, scope| self.frontends.get(&FrontendKey::new(address, port, protocol, scope));
        if let Some(index) = find(address, Scope::Exact) {
            return Some(port_id(reader, *index)?.into());
        }
        // A ClusterIP has no NodePorts.
        if let Some(index) = self.cluster_ips.get(&event.before.destination) {
            return Some(ServiceName { service: port_id(reader, *index)?.service, port: None });
        }
        let index = find(event.before.destination.unspecified().to_ip(), Scope::Node)?;
        Some(port_id(reader, *index)?.into())
    }
}
