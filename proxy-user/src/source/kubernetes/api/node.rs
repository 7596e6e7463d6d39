//! Node (core/v1) and ServiceCIDR (networking.k8s.io/v1).

use super::{Metadata, Text};
use serde::Deserialize;

/// A Node.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Node<'a> {
    /// `metadata`.
    #[serde(borrow, default)]
    pub metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(in super::super) spec: Option<NodeSpec<'a>>,
    #[serde(borrow)]
    pub(in super::super) status: Option<NodeStatus<'a>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct NodeSpec<'a> {
    #[serde(borrow, rename = "podCIDR")]
    pub(in super::super) pod_cidr: Option<Text<'a>>,
    #[serde(borrow, rename = "podCIDRs")]
    pub(in super::super) pod_cidrs: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(in super::super) taints: Option<Vec<Taint<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct Taint<'a> {
    #[serde(borrow)]
    pub(in super::super) key: Option<Text<'a>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct NodeStatus<'a> {
    #[serde(borrow)]
    pub(in super::super) addresses: Option<Vec<NodeAddress<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct NodeAddress<'a> {
    #[serde(borrow, default, rename = "type")]
    pub(in super::super) type_: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(in super::super) address: Option<Text<'a>>,
}

/// A ServiceCIDR.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ServiceCidr<'a> {
    /// `metadata`.
    #[serde(borrow, default)]
    pub metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(in super::super) spec: Option<ServiceCidrSpec<'a>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct ServiceCidrSpec<'a> {
    #[serde(borrow)]
    pub(in super::super) cidrs: Option<Vec<Text<'a>>>,
}
