//! What the agent is told of the cluster, whoever tells it.

use super::{super::problems, follow::Follower};
use crate::{
    model::Event,
    recorder::{Notice, Reason},
    source::{
        kube::{Batch, KubeSource},
        manifests::Changes,
    },
};
use std::time::SystemTime;

/// What has changed.
#[derive(Default)]
pub struct Incoming {
    /// In an order in which they can be applied.
    pub events: Vec<Event>,
    /// Whether all that there is was told by now, where that is another answer than before: if not, what a former
    /// agent has left and nobody has named stays.
    pub complete: Option<bool>,
    /// More of the first lists is to come: nothing is to be programmed yet.
    pub unfinished: bool,
    /// When endpoints changed, by the annotation of those who changed them.
    pub triggers: Vec<SystemTime>,
    /// What an operator must know, beside the log.
    pub notices: Vec<Notice>,
}

/// Who tells it.
pub enum Source {
    /// Files, followed by a thread; and what it has read first.
    Manifests(Follower, Option<Changes>),
    /// An API server.
    Cluster(KubeSource),
}
