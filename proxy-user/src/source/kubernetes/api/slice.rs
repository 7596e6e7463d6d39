//! EndpointSlice (discovery.k8s.io/v1).

use super::{Metadata, Text};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use std::fmt;

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
    pub(in super::super) addresses: Option<First<'a>>,
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

/// The first of some addresses: the others are never used, and a list for each endpoint would be most of what
/// reading a slice allocates.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct First<'a>(pub(in super::super) Option<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for First<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyList;

        impl<'de> Visitor<'de> for AnyList {
            type Value = First<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First<'de>, A::Error> {
                let first = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(AnyList)
    }
}
