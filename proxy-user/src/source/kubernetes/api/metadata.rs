//! `metadata`, as far as it is read.

use super::Text;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use std::fmt;

/// Labels and annotations that are read; all others are skipped.
const KEYS: [&str; 5] = [
    "service.kubernetes.io/service-proxy-name",
    "service.kubernetes.io/headless",
    "kubernetes.io/service-name",
    "topology.kubernetes.io/zone",
    "endpoints.kubernetes.io/last-change-trigger-time",
];

/// `metadata` of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// `name`.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// `namespace`.
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    /// `creationTimestamp`.
    pub creation_timestamp: Option<Time>,
    /// `deletionTimestamp`.
    pub deletion_timestamp: Option<Time>,
    /// `resourceVersion`.
    #[serde(borrow)]
    pub resource_version: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) labels: Chosen<'a>,
    #[serde(borrow, default)]
    pub(super) annotations: Chosen<'a>,
}

impl<'a> Metadata<'a> {
    /// The value of a label that a service proxy reads.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    /// The value of an annotation that a service proxy reads.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key)
    }
}

/// The entries of a map whose keys are among [`KEYS`].
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen<'a>(Vec<(&'static str, Text<'a>)>);

impl<'a> Chosen<'a> {
    pub(super) fn of(entries: impl Iterator<Item = (&'a String, &'a String)>) -> Self {
        Self(entries.filter_map(|(key, value)| Some((known(key)?, value.into()))).collect())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| *other == key).map(|(_, value)| &**value)
    }
}

fn known(key: &str) -> Option<&'static str> {
    KEYS.into_iter().find(|known| *known == key)
}

impl<'de: 'a, 'a> Deserialize<'de> for Chosen<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyMap;

        impl<'de> Visitor<'de> for AnyMap {
            type Value = Chosen<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }

            fn visit_unit<E>(self) -> Result<Chosen<'de>, E> {
                Ok(Chosen::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Chosen<'de>, A::Error> {
                let mut chosen = Vec::new();
                while let Some(key) = map.next_key::<Text<'de>>()? {
                    let value: Text<'de> = map.next_value::<Option<_>>()?.unwrap_or_default();
                    chosen.extend(known(&key).map(|key| (key, value)));
                }
                Ok(Chosen(chosen))
            }
        }

        deserializer.deserialize_any(AnyMap)
    }
}
