//! The API server as a source, against a server in this process that misbehaves as a test tells it to.
#![cfg(feature = "kube")]
#![allow(clippy::unwrap_used, reason = "the harness is a test as a whole, but no #[test] function")]

mod access;
mod api;
mod bad_days;
mod basics;
mod client;
mod guard;
mod http;
mod objects;
mod servers;
