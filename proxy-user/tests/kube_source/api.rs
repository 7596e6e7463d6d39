//! What a fake API server holds: objects with resource versions, their history, and how it misbehaves next.

use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::watch;

pub const SERVICES: &str = "/api/v1/services";
pub const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
pub const NODES: &str = "/api/v1/nodes";
pub const CIDRS: &str = "/apis/networking.k8s.io/v1/servicecidrs";

/// How the next request for a path is answered, instead of properly.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A status, headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// 200, and then this body.
    Body(String),
    /// 200, this part of a body, and the connection breaks.
    Cut(String),
    /// 200, this part of a body, and then silence.
    Stall(String),
    /// No answer at all.
    Hang,
    /// The connection breaks before the answer.
    Reset,
    /// A proper answer after all.
    Proper,
}

#[derive(Clone, Debug)]
struct Change {
    version: u64,
    path: &'static str,
    before: Option<Value>,
    after: Option<Value>,
}

/// What a server holds.
pub struct State {
    pub version: u64,
    objects: BTreeMap<(&'static str, String, String), Value>,
    history: Vec<Change>,
    /// Versions before that one are too old for a watch.
    oldest: u64,
    pub answers: BTreeMap<&'static str, VecDeque<Answer>>,
    /// Every request: path and query, and the credentials with it.
    pub requests: Vec<(String, String)>,
    /// It knows lists that stream.
    pub streaming: bool,
    /// Objects on a page, whatever limit is asked for.
    pub page: usize,
    /// Credentials that it accepts; all where it is empty.
    pub tokens: BTreeSet<String>,
    /// Watches that began before this count are ended.
    pub ended: u64,
    /// Bookmarks that all watches are sent.
    pub bookmarks: u64,
}

/// The server's data, shared with its connections.
#[derive(Clone)]
pub struct Api {
    state: Arc<Mutex<State>>,
    /// Told of every change.
    pub changed: Arc<watch::Sender<()>>,
}

impl Default for Api {
    fn default() -> Self {
        let state = State {
            version: 100,
            objects: BTreeMap::new(),
            history: Vec::new(),
            oldest: 0,
            answers: BTreeMap::new(),
            requests: Vec::new(),
            streaming: true,
            page: 500,
            tokens: BTreeSet::new(),
            ended: 0,
            bookmarks: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), changed: Arc::new(watch::Sender::new(())) }
    }
}

impl Api {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Stores an object as the next version.
    pub fn put(&self, mut object: Value) {
        let path = path_of(&object);
        {
            let mut state = self.state();
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            let before = state.objects.insert(key(path, &object), object.clone());
            let version = state.version;
            state.history.push(Change { version, path, before, after: Some(object) });
        }
        self.changed.send_replace(());
    }

    pub fn delete(&self, path: &'static str, name: &str) {
        {
            let mut state = self.state();
            let key = state.objects.keys().find(|key| key.0 == path && key.2 == name).unwrap().clone();
            let before = state.objects.remove(&key);
            state.version += 1;
            let version = state.version;
            state.history.push(Change { version, path, before, after: None });
        }
        self.changed.send_replace(());
    }

    /// Deletes everything of a path without a word to watches, as an etcd that was restored from nothing.
    pub fn lose(&self, path: &'static str) {
        self.state().objects.retain(|key, _| key.0 != path);
    }

    /// Puts objects back without a word.
    pub fn restore(&self, objects: &[Value]) {
        let mut state = self.state();
        for object in objects {
            let mut object = object.clone();
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.objects.insert(key(path_of(&object), &object), object);
        }
    }

    /// The server forgets its history, so that watches from before get 410; and ends them.
    pub fn compact(&self) {
        {
            let mut state = self.state();
            state.version += 1;
            state.oldest = state.version;
            state.history.clear();
            state.ended += 1;
        }
        self.changed.send_replace(());
    }

    /// Ends all watches between two frames.
    pub fn end_watches(&self) {
        self.state().ended += 1;
        self.changed.send_replace(());
    }

    /// Sends a bookmark to all watches.
    pub fn bookmark(&self) {
        {
            let mut state = self.state();
            state.version += 1;
            state.bookmarks += 1;
        }
        self.changed.send_replace(());
    }

    pub fn script(&self, path: &'static str, answers: impl IntoIterator<Item = Answer>) {
        self.state().answers.entry(path).or_default().extend(answers);
    }

    /// Requests that lie in the log so far and name this.
    pub fn count(&self, path: &str, word: &str) -> usize {
        let state = self.state();
        state.requests.iter().filter(|(uri, _)| uri.starts_with(path) && uri.contains(word)).count()
    }

    /// Lists, of either sort, of a path.
    pub fn lists(&self, path: &str) -> usize {
        self.count(path, "sendInitialEvents")
            + self.count(path, "&limit=500")
            + self.count(path, "?limit=500")
            - self.count(path, "continue=")
    }

    /// All objects that a proxy asks for.
    pub fn wanted(&self) -> Vec<Value> {
        self.state().objects.values().filter(|object| wanted(object)).cloned().collect()
    }
}

impl State {
    pub fn listed(&self, path: &str) -> Vec<Value> {
        let objects = self.objects.iter().filter(|(key, object)| key.0 == path && wanted(object));
        objects.map(|(_, object)| object.clone()).collect()
    }

    pub const fn forget_before(&mut self, version: u64) {
        self.oldest = version;
    }

    pub const fn is_too_old(&self, version: u64) -> bool {
        version < self.oldest
    }

    /// Frames of a watch since a version, and the version after them. A change of labels can bring an object
    /// into the watch's view, or take it out.
    pub fn frames(&self, path: &str, since: u64) -> Vec<Value> {
        let changes = self.history.iter().filter(|change| change.version > since && change.path == path);
        changes
            .filter_map(|Change { version, before, after, .. }| {
                let seen = before.as_ref().is_some_and(wanted);
                let object = |object: &Value| {
                    let mut object = object.clone();
                    object["metadata"]["resourceVersion"] = json!(version.to_string());
                    object
                };
                match after.as_ref().filter(|after| wanted(after)) {
                    Some(after) if seen => Some(json!({"type": "MODIFIED", "object": after})),
                    Some(after) => Some(json!({"type": "ADDED", "object": after})),
                    None if seen => {
                        Some(json!({"type": "DELETED", "object": object(before.as_ref().unwrap())}))
                    }
                    None => None,
                }
            })
            .collect()
    }
}

fn key(path: &'static str, object: &Value) -> (&'static str, String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (path, text("namespace"), text("name"))
}

fn path_of(object: &Value) -> &'static str {
    match object["kind"].as_str().unwrap() {
        "Service" => SERVICES,
        "EndpointSlice" => SLICES,
        "Node" => NODES,
        "ServiceCIDR" => CIDRS,
        other => panic!("{other}"),
    }
}

/// The selectors of kube-proxy, as a server evaluates them.
fn wanted(object: &Value) -> bool {
    let label = |name: &str| object["metadata"]["labels"].get(name).is_some();
    let foreign = label("service.kubernetes.io/service-proxy-name");
    match object["kind"].as_str().unwrap() {
        "Service" => !foreign && object["spec"]["clusterIP"] != "None",
        "EndpointSlice" => !foreign && !label("service.kubernetes.io/headless"),
        "Node" => object["metadata"]["name"] == super::objects::NODE,
        _ => true,
    }
}
