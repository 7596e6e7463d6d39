//! The API server of the tests of `source::kube`.
#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../kube_source/api.rs"]
pub mod api;
#[path = "../kube_source/http.rs"]
pub mod http;

/// What it needs of the tests that it belongs to.
mod objects {
    pub const NODE: &str = "lab-node";
}
