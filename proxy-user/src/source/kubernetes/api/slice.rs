//! EndpointSlice (discovery.k8s.io/v1).

use super::{Metadata, Text};
use serde::Deserialize;

/// An EndpointSlice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice<'a> {
    /// `metadata`.
    #[serde(borrow, default)]
    pub metadata: Metadata<'a>,
    #[serde(borrow)]
    pub(in super::super) address_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in super::super) ports: Option<Vec<EndpointPort<'a>>>,
    #[serde(borrow)]
    pub(in super::super) endpoints: Option<Vec<Endpoint<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct EndpointPort<'a> {
    #[serde(borrow)]
    pub(in super::super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in super::super) protocol: Option<Text<'a>>,
    pub(in super::super) port: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Endpoint<'a> {
    #[serde(borrow)]
    pub(in super::super) addresses: Option<Vec<Text<'a>>>,
    pub(in super::super) conditions: Option<EndpointConditions>,
    #[serde(borrow)]
    pub(in super::super) node_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(in super::super) hints: Option<EndpointHints<'a>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(in super::super) struct EndpointConditions {
    pub(in super::super) ready: Option<bool>,
    pub(in super::super) serving: Option<bool>,
    pub(in super::super) terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct EndpointHints<'a> {
    #[serde(borrow)]
    pub(in super::super) for_zones: Option<Vec<Hint<'a>>>,
    #[serde(borrow)]
    pub(in super::super) for_nodes: Option<Vec<Hint<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(in super::super) struct Hint<'a> {
    #[serde(borrow)]
    pub(in super::super) name: Option<Text<'a>>,
}
