//! Creates Events at the API server that is asked now.

use super::servers::Servers;
use crate::recorder::{EventSink, Posted};
use http::{Request, StatusCode, header};
use kube::client::Body;
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::timeout;

/// The longest that the API server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API server as a sink of Events.
pub struct KubeEvents {
    servers: Arc<Servers>,
    /// It was said that they are forbidden.
    said: AtomicBool,
}

impl KubeEvents {
    pub(super) const fn new(servers: Arc<Servers>) -> Self {
        Self { servers, said: AtomicBool::new(false) }
    }
}

impl EventSink for KubeEvents {
    async fn post(&self, namespace: &str, event: &Value) -> Posted {
        let uri = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Body::from(event.to_string().into_bytes()));
        // A namespace that does not fit into a path is none.
        let Ok(request) = request else { return Posted::Done };
        let current = self.servers.current();
        let Ok(Ok(answer)) = timeout(PATIENCE, current.client.send(request)).await else {
            return Posted::Later;
        };
        let status = answer.status();
        if status == StatusCode::FORBIDDEN && !self.said.swap(true, Relaxed) {
            tracing::warn!(
                "Events cannot be written: the API server forbids it; a ClusterRole needs {{apiGroups: \
                 [\"events.k8s.io\"], resources: [\"events\"], verbs: [\"create\"]}}"
            );
        }
        // What the watches do about credentials that have expired helps here too.
        let later = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::UNAUTHORIZED
            || status.is_server_error();
        if later { Posted::Later } else { Posted::Done }
    }
}
