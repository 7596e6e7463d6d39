//! The API server as a source.
//!
//! ```text
//!            ┌ watch (a task for each kind) ─────────────────────┐
//! connect ──▶│ answer ──▶ lines, items ──▶ follow ──▶ News ──────│──▶ KubeSource::next ──▶ Batch
//! servers    │                             │   ▲                │      limiter
//!            │ request, wait ◀─────────────┘   └ known, staged, │
//!            │                                   guard, backoff │
//!            └──────────────────────────────────────────────────┘
//! ```
//!
//! [`kube`](https://docs.rs/kube) makes connections: credentials, TLS. The protocol on them is our own, because memory,
//! jitter and what to believe are:
//!
//! * **follow** is the protocol of one kind, without sockets and clocks: it is told what came, and says which request
//!   is due and when. A first list is handed on as it comes; a later one is staged, and handed on as a difference
//!   (deletions first) once it is complete. A list that is cut off has changed nothing.
//! * **known** keeps a hash of each object that was handed on, not the object. So an object that did not change is no
//!   event, however often it is listed.
//! * **ahead** drops frames that a later one of the same object has overtaken before they are decoded.
//! * **lines** and **items** cut an answer into objects as it comes: no list is ever in memory as a whole. What is
//!   read at once is at most 64 KiB for each kind, or one object.
//! * **guard** holds back deletions that are too many to be believed, and any empty list: they wait until another
//!   list, a minute later, lacks the same, or until an operator says so ([`KubeSource::confirm`]; the agent does it on
//!   SIGUSR1, and `--relist-guard 100` believes everything). What else the list says is applied at once.
//! * **backoff** has full jitter and heeds Retry-After; **servers** goes to the next server when one fails.
//!
//! # In another program
//!
//! ```no_run
//! # use shunt::source::kube::{KubeError, KubeSource, Options};
//! # fn program(_: shunt::model::Event) {}
//! # fn write_to_the_kernel() {}
//! # async fn example() -> Result<(), KubeError> {
//! let mut source = KubeSource::start(Options {
//!     node: "node-a".into(),
//!     kubeconfig: Some("/etc/kubernetes/shunt.conf".into()),
//!     // Not the ClusterIP of `default/kubernetes`, which this program is there to serve.
//!     api_servers: vec!["https://10.0.0.1:6443".into(), "https://10.0.0.2:6443".into()],
//!     ..Options::default()
//! })
//! .await?;
//! loop {
//!     let batch = source.next().await;
//!     batch.problems.iter().for_each(|problem| eprintln!("{problem}"));
//!     batch.events.into_iter().for_each(program);
//!     // Before, objects are missing, and what an earlier run has written should stay.
//!     if batch.synced {
//!         write_to_the_kernel();
//!     }
//! }
//! # }
//! ```

mod ahead;
mod backoff;
mod connect;
mod credentials;
mod decode;
mod describe;
mod ending;
mod error;
mod events;
mod follow;
mod guard;
mod items;
mod kind;
mod known;
mod limiter;
mod lines;
mod news;
mod notice;
mod options;
mod problem;
mod random;
mod request;
mod servers;
mod source;
mod staged;
mod stats;
mod watch;

pub use crate::source::Severity;
pub use credentials::Credentials;
pub use error::KubeError;
pub use events::KubeEvents;
pub use kind::Kind;
pub use notice::{Confirmed, Notice};
pub use options::{Options, Pinned};
pub use problem::{About, Problem};
pub use source::{Batch, KubeSource};
pub use stats::{KubeSnapshot, KubeStats, Outcome, Verb};
