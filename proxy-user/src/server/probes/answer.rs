//! The answers to /healthz, /livez and /readyz: the first two as kube-proxy gives them
//! (pkg/proxy/healthcheck/proxy_health.go), the third of our own.

use super::timestamp::Timestamp;
use crate::{
    model::Family,
    server::proxy_health::{HealthStatus, NodeEligibility},
};
use hyper::{Response, StatusCode, header};
use std::time::SystemTime;

/// What somebody asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// Whether load balancers may send new connections to this node.
    Healthz,
    /// Whether the agent does its work, or is to be started anew.
    Livez,
    /// Whether the first complete lists have reached the kernel.
    Readyz,
}

impl Probe {
    /// The probe that a path asks for.
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Healthz),
            "/livez" => Some(Self::Livez),
            "/readyz" => Some(Self::Readyz),
            _ => None,
        }
    }

    /// Whether the answer is 200; else it is 503.
    pub fn is_passed(self, status: &HealthStatus) -> bool {
        match self {
            Self::Healthz => status.healthy && status.node == NodeEligibility::Eligible,
            Self::Livez => status.healthy,
            Self::Readyz => status.ready,
        }
    }

    /// Answers at a moment of the wall clock.
    pub fn answer(self, status: &HealthStatus, now: SystemTime) -> Response<String> {
        let is_passed = self.is_passed(status);
        let mut response = Response::new(self.body(status, now));
        if !is_passed {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
        response
    }

    /// kube-proxy has a proxier for each family, which it names once it has synced. One sync is for both here, so
    /// both say the same.
    fn body(self, status: &HealthStatus, now: SystemTime) -> String {
        // Of one that passes kube-proxy says "now": older versions told when they had looked last, changes or not.
        let last = if self.is_passed(status) { Some(now) } else { status.applied };
        let (last, now, healthy) = (Timestamp(last), Timestamp(Some(now)), status.healthy);
        let mut body = format!("{{\"lastUpdated\":\"{last}\",\"currentTime\":\"{now}\"");
        match self {
            Self::Healthz => {
                let eligible = status.node == NodeEligibility::Eligible;
                body.push_str(&format!(",\"nodeEligible\":{eligible}"));
            }
            Self::Livez => {}
            Self::Readyz => body.push_str(&format!(",\"ready\":{}", status.ready)),
        }
        body.push_str(&format!(",\"healthy\":{healthy}"));
        if status.applied.is_some() {
            let applied = Timestamp(status.applied);
            let of = |family| format!("\"{family}\":{{\"lastUpdated\":\"{applied}\",\"healthy\":{healthy}}}");
            let [v4, v6] = Family::BOTH.map(of);
            body.push_str(&format!(",\"status\":{{{v4},{v6}}}"));
        }
        body.push('}');
        body
    }
}
