//! Manifest files as a user has them: loaded, followed while they change, broken and mended.
#![cfg(feature = "manifests")]
// Clippy spares `#[test]` functions only, not the helpers beside them.
#![allow(clippy::unwrap_used)]

mod again;
mod any_content;
mod live;
mod once;

use proptest::prelude::*;
use shunt::{
    model::{EndpointSlice, Event, Node, ObjectName, Service, ServiceCidr},
    source::manifests::{Changes, ManifestSet, ManifestWatcher, Severity},
};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a receiver of the events has.
#[derive(Clone, PartialEq, Debug, Default)]
struct State {
    nodes: BTreeMap<String, Node>,
    cidrs: BTreeMap<String, ServiceCidr>,
    services: BTreeMap<ObjectName, Service>,
    slices: BTreeMap<ObjectName, EndpointSlice>,
    problems: Vec<String>,
}

impl State {
    fn of(changes: Changes) -> Self {
        let mut state = Self::default();
        state.apply(changes);
        state
    }

    fn apply(&mut self, changes: Changes) {
        for event in changes.events {
            match event {
                Event::NodeApplied(node) => drop(self.nodes.insert(node.name.to_string(), node)),
                Event::ServiceApplied(service) => drop(self.services.insert(service.name.clone(), service)),
                Event::SliceApplied(slice) => drop(self.slices.insert(slice.name.clone(), slice)),
                Event::NodeDeleted(name) => drop(self.nodes.remove(name.as_str()).expect("it was there")),
                Event::ServiceDeleted(name) => drop(self.services.remove(&name).expect("it was there")),
                Event::SliceDeleted(name) => drop(self.slices.remove(&name).expect("it was there")),
                Event::ServiceCidrApplied(cidr) => drop(self.cidrs.insert(cidr.name.to_string(), cidr)),
                Event::ServiceCidrDeleted(name) => {
                    drop(self.cidrs.remove(name.as_str()).expect("it was there"));
                }
                Event::LocalAddresses(_) => panic!("no manifest knows the node's interfaces"),
            }
        }
        self.problems.extend(changes.problems.iter().map(ToString::to_string));
    }

    /// `namespace/name=first cluster address`, of each Service.
    fn services(&self) -> Vec<String> {
        let address = |service: &Service| service.cluster_ips.first().map(ToString::to_string);
        let text = |service: &Service| format!("{}={}", service.name, address(service).unwrap_or_default());
        self.services.values().map(text).collect()
    }
}

fn service(name: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec:\n  clusterIP: {address}\n  ports: [{{port: 80}}]\n"
    )
}

fn documents(documents: &[String]) -> String {
    documents.join("---\n")
}

fn load(path: &Path) -> (ManifestSet, State) {
    let (set, changes) = ManifestSet::load([path]).unwrap();
    (set, State::of(changes))
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}
