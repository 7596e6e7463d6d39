//! JSON → objects of the model. What cannot be read costs itself alone.

use super::kind::Kind;
use crate::{
    model::{Event, ObjectName},
    source::kubernetes::{self, Converted, Warning, api, name_of},
};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, time::SystemTime};

/// Annotation of a slice: when the change happened that it tells of.
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";
/// Annotation of the bookmark that ends the first part of a watch that begins with a list (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// An object as it came.
pub(super) struct Decoded {
    pub(super) name: ObjectName,
    /// Its resource version; empty where it has none.
    pub(super) version: String,
    /// The event that hands it on; `None` where a service proxy ignores it.
    pub(super) applied: Option<Event>,
    pub(super) warnings: Vec<Warning>,
    /// When the change happened that a slice tells of.
    pub(super) trigger: Option<SystemTime>,
}

/// Reads an object of a kind.
pub(super) fn object(kind: Kind, json: &str) -> Result<Decoded, serde_json::Error> {
    fn decoded<M>(
        metadata: &api::Metadata<'_>,
        converted: Converted<M>,
        applied: impl Fn(M) -> Event,
    ) -> Decoded {
        Decoded {
            name: name_of(metadata),
            version: metadata.resource_version.as_deref().unwrap_or_default().to_owned(),
            applied: converted.object.map(applied),
            warnings: converted.warnings,
            trigger: None,
        }
    }
    Ok(match kind {
        Kind::Node => {
            let object: api::Node<'_> = serde_json::from_str(json)?;
            decoded(&object.metadata, kubernetes::convert_node(&object), Event::NodeApplied)
        }
        Kind::ServiceCidrs => {
            let object: api::ServiceCidr<'_> = serde_json::from_str(json)?;
            decoded(&object.metadata, kubernetes::convert_service_cidr(&object), Event::ServiceCidrApplied)
        }
        Kind::Services => {
            let object: api::Service<'_> = serde_json::from_str(json)?;
            decoded(&object.metadata, kubernetes::convert_service(&object), Event::ServiceApplied)
        }
        Kind::EndpointSlices => {
            let object: api::EndpointSlice<'_> = serde_json::from_str(json)?;
            let trigger = object.metadata.annotation(TRIGGER).and_then(time);
            let converted = kubernetes::convert_slice(&object);
            Decoded { trigger, ..decoded(&object.metadata, converted, Event::SliceApplied) }
        }
    })
}

fn time(text: &str) -> Option<SystemTime> {
    Some(text.parse::<Timestamp>().ok()?.into())
}

/// The name of an object that need not be readable otherwise; `None` where even that is missing.
pub(super) fn name(json: &str) -> Option<ObjectName> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        metadata: NamedMetadata<'a>,
    }
    #[derive(Deserialize)]
    struct NamedMetadata<'a> {
        #[serde(borrow)]
        name: api::Text<'a>,
        #[serde(borrow)]
        namespace: Option<api::Text<'a>>,
    }
    let named: Named<'_> = serde_json::from_str(json).ok()?;
    let Named { metadata: NamedMetadata { name, namespace } } = named;
    let mut metadata = api::Metadata::default();
    (metadata.name, metadata.namespace) = (Some(name), namespace);
    Some(name_of(&metadata)).filter(|name| !name.name.is_empty())
}

/// A frame of a watch.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Frame<'a> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub(super) type_: Cow<'a, str>,
    /// The object, as JSON.
    pub(super) object: &'a str,
}

/// Reads a frame.
pub(super) fn frame(line: &[u8]) -> Result<Frame<'_>, serde_json::Error> {
    #[derive(Deserialize)]
    struct AnyFrame<'a> {
        #[serde(borrow, rename = "type")]
        type_: Cow<'a, str>,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    if let Some(frame) = usual_frame(line) {
        return Ok(frame);
    }
    let AnyFrame { type_, object } = serde_json::from_slice(line)?;
    Ok(Frame { type_, object: object.get() })
}

/// A frame just as the API server writes it: its object need not be scanned twice. Whether that is JSON, its reader
/// will see.
fn usual_frame(line: &[u8]) -> Option<Frame<'_>> {
    let line = std::str::from_utf8(line).ok()?.trim_ascii();
    let (type_, rest) = line.strip_prefix("{\"type\":\"")?.split_once('"')?;
    let object = rest.strip_prefix(",\"object\":")?.strip_suffix('}')?;
    let is_plain = type_.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_object = object.starts_with('{') && object.ends_with('}');
    (is_plain && is_object).then_some(Frame { type_: type_.into(), object })
}

/// What a bookmark says.
pub(super) struct Bookmark {
    pub(super) version: String,
    /// All objects that were there at the beginning have been sent.
    pub(super) initial_events_end: bool,
}

/// Reads the object of a bookmark.
pub(super) fn bookmark(json: &str) -> Result<Bookmark, serde_json::Error> {
    #[derive(Deserialize)]
    struct Object {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
        #[serde(default)]
        annotations: std::collections::HashMap<String, String>,
    }
    let Object { metadata } = serde_json::from_str(json)?;
    let initial_events_end =
        metadata.annotations.get(INITIAL_EVENTS_END).is_some_and(|value| value == "true");
    Ok(Bookmark { version: metadata.resource_version, initial_events_end })
}

/// A list without its items.
#[derive(Deserialize)]
pub(super) struct List {
    pub(super) metadata: ListMetadata,
}

/// `metadata` of a list.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMetadata {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) token: String,
}

/// Reads a list whose items were cut out.
pub(super) fn list(json: &[u8]) -> Result<List, serde_json::Error> {
    serde_json::from_slice(json)
}

/// Why a server refused: `Status` of the API, as the body of an answer and as object of an `ERROR` frame.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    pub(super) message: String,
    pub(super) reason: String,
    details: Option<StatusDetails>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StatusDetails {
    retry_after_seconds: u64,
}

impl Status {
    /// Reads one; what is none is an empty one.
    pub(super) fn read(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// The wait that the server asks for.
    pub(super) fn retry_after(&self) -> Option<std::time::Duration> {
        let seconds = self.details.as_ref().map_or(0, |details| details.retry_after_seconds);
        (seconds > 0).then(|| std::time::Duration::from_secs(seconds))
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
