//! An EndpointSlice.

use super::{ObjectName, Protocol};
use smol_str::SmolStr;
use std::{fmt, net::IpAddr};

/// An EndpointSlice of family IPv4 or IPv6 (FQDN slices are left out by the source).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct EndpointSlice {
    /// Namespace and name of the slice itself.
    pub name: ObjectName,
    /// Label `kubernetes.io/service-name`: the Service, in the slice's namespace.
    pub service: SmolStr,
    /// `addressType`.
    pub family: Family,
    /// Ports that have a name (which may be empty) and a number other than zero.
    pub ports: Vec<SlicePort>,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
}

/// An entry of the slice's `ports`. It joins a service port by name and protocol, never by number,
/// and brings the number that backends listen on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SlicePort {
    /// Name.
    pub name: SmolStr,
    /// Protocol.
    pub protocol: Protocol,
    /// Number.
    pub port: u16,
}

/// An entry of the slice's `endpoints`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Endpoint {
    /// `addresses[0]`; the others are never used.
    pub address: IpAddr,
    /// `conditions`, with the API's defaults filled in.
    pub conditions: Conditions,
    /// `nodeName`; an endpoint without one is never local.
    pub node: Option<SmolStr>,
    /// `hints.forZones[].name`.
    pub zone_hints: Vec<SmolStr>,
    /// `hints.forNodes[].name`.
    pub node_hints: Vec<SmolStr>,
}

impl Endpoint {
    /// A ready endpoint on no known node.
    #[must_use]
    pub fn ready(address: IpAddr) -> Self {
        Self {
            address,
            conditions: Conditions::default(),
            node: None,
            zone_hints: Vec::new(),
            node_hints: Vec::new(),
        }
    }
}

/// Conditions of an endpoint. The API's defaults for absent values: ready, serving, not terminating.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Conditions {
    /// May receive new traffic.
    pub ready: bool,
    /// Would be ready if it were not terminating.
    pub serving: bool,
    /// Is being deleted.
    pub terminating: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { ready: true, serving: true, terminating: false }
    }
}

/// IP family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// Family of an address; an IPv4-mapped one is IPv4, as in the maps and on the wire.
    #[must_use]
    pub const fn of(address: &IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_mapped_address_is_ipv4() {
        for (text, family) in
            [("10.0.0.1", Family::V4), ("::ffff:10.0.0.1", Family::V4), ("fd00::1", Family::V6)]
        {
            assert_eq!(Family::of(&text.parse().unwrap()), family, "{text}");
        }
    }
}
