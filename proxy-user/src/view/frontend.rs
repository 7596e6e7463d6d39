//! A decoded frontend.

use crate::writer::FrontendKey;
use proxy_common::abi::{Address, FrontendFlags, FrontendValue, Scope};
use std::net::IpAddr;

/// An address and port that leads to a service port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FrontendView {
    /// Its kind.
    pub kind: FrontendKind,
    /// The address; `None` for every address of the node where NodePorts answer.
    pub address: Option<IpAddr>,
    /// The port, host byte order.
    pub port: u16,
}

impl FrontendView {
    /// Decodes an entry; `None` for one that only says what an address is.
    pub(super) fn decode(key: &FrontendKey, value: FrontendValue) -> Option<Self> {
        let (kind, parts) = (FrontendKind::decode(value.kind())?, KeyParts::of(key));
        Some(Self { kind, address: parts.ip(), port: parts.port })
    }

    /// The address as `plan`, `dump` and `explain` print it.
    #[must_use]
    pub fn address_text(&self) -> String {
        self.address.map_or_else(|| "*".to_owned(), |address| address.to_string())
    }
}

/// The frontend's form in JSON: `{"kind", "address", "port"}`.
#[cfg(feature = "manifests")]
impl serde::Serialize for FrontendView {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut object = serializer.serialize_struct("Frontend", 3)?;
        object.serialize_field("kind", self.kind.name())?;
        object.serialize_field("address", &self.address_text())?;
        object.serialize_field("port", &self.port)?;
        object.end()
    }
}

/// `10.96.0.10:80`, `[fd00::10]:80`, `*:30080`.
impl std::fmt::Display for FrontendView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address {
            Some(address) => write!(f, "{}", std::net::SocketAddr::new(address, self.port)),
            None => write!(f, "*:{}", self.port),
        }
    }
}

/// Kind of a frontend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FrontendKind {
    /// `spec.clusterIPs`.
    ClusterIp,
    /// `spec.ports[].nodePort`.
    NodePort,
    /// `spec.externalIPs`.
    ExternalIp,
    /// `status.loadBalancer.ingress[].ip`.
    LoadBalancer,
}

impl FrontendKind {
    /// The kind that these flags stand for; `None` for those that lead to no service port.
    pub(crate) fn decode(flags: FrontendFlags) -> Option<Self> {
        match flags {
            FrontendFlags::CLUSTER_IP => Some(Self::ClusterIp),
            FrontendFlags::NODE_PORT => Some(Self::NodePort),
            FrontendFlags::EXTERNAL_IP => Some(Self::ExternalIp),
            FrontendFlags::LOAD_BALANCER => Some(Self::LoadBalancer),
            _ => None,
        }
    }

    /// The word that `plan`, `dump` and `explain` print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::ExternalIp => "ExternalIP",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

/// The key of a frontend, whatever its family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeyParts {
    /// The address.
    pub address: Address,
    /// The port, host byte order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// A [`Scope`].
    pub scope: u8,
}

impl KeyParts {
    /// Takes a key apart.
    pub(crate) const fn of(key: &FrontendKey) -> Self {
        let (address, port, protocol, scope) = match key {
            FrontendKey::V4(key) => (Address::from_v4_word(key.address), key.port, key.protocol, key.scope),
            FrontendKey::V6(key) => (Address { words: key.address }, key.port, key.protocol, key.scope),
        };
        Self { address, port: u16::from_be(port), protocol, scope }
    }

    /// The address; `None` for every address of the node where NodePorts answer.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        (self.scope != Scope::Node as u8).then(|| self.address.to_ip())
    }
}
