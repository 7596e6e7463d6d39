//! A change of the cluster's objects.

use super::{EndpointSlice, Node, ObjectName, Service, ServiceCidr};
use smol_str::SmolStr;
use std::net::IpAddr;

/// One change, as a source reports it. Applying the same object twice is no change.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// A Service was added or changed.
    ServiceApplied(Service),
    /// A Service is gone.
    ServiceDeleted(ObjectName),
    /// An EndpointSlice was added or changed.
    SliceApplied(EndpointSlice),
    /// An EndpointSlice is gone; the name is the slice's.
    SliceDeleted(ObjectName),
    /// A Node was added or changed; others than this node are ignored.
    NodeApplied(Node),
    /// A Node is gone.
    NodeDeleted(SmolStr),
    /// A ServiceCIDR was added or changed.
    ServiceCidrApplied(ServiceCidr),
    /// A ServiceCIDR is gone.
    ServiceCidrDeleted(SmolStr),
    /// The addresses of this node's interfaces, all of them, as they are now.
    LocalAddresses(Vec<IpAddr>),
}
