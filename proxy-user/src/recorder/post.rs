//! Brings Events to the API server.

use super::{Notice, body::body, limit::Limit};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::{
    future::Future,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinHandle,
    time::sleep,
};

/// Events that may wait while the API server does not answer.
const WAITING: usize = 64;
/// How often one is tried, and how long after each failure, about: as client-go does.
const TRIES: u32 = 12;
const PAUSE: Duration = Duration::from_secs(10);

/// What became of a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Posted {
    /// It was written, or will never be: the API server does not want it.
    Done,
    /// The API server could not be reached, or is busy.
    Later,
}

/// Where Events go.
pub trait EventSink: Send + Sync + 'static {
    /// Creates an Event in a namespace.
    fn post(&self, namespace: &str, event: &Value) -> impl Future<Output = Posted> + Send;
}

/// Writes Events on the current runtime, until it is dropped.
#[derive(Debug)]
pub struct EventRecorder {
    notices: Sender<Notice>,
    task: JoinHandle<()>,
}

impl EventRecorder {
    /// Begins. `node` is the name of this node's Node.
    pub fn start(node: String, sink: impl EventSink) -> Self {
        let (notices, received) = channel(WAITING);
        Self { notices, task: tokio::spawn(post_all(node, sink, received)) }
    }

    /// Has an Event written, if there is room and it was not written lately.
    pub fn record(&self, notice: Notice) {
        if self.notices.try_send(notice).is_err() {
            tracing::debug!("an Event is left out: {WAITING} wait for the API server already");
        }
    }
}

impl Drop for EventRecorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn post_all(node: String, sink: impl EventSink, mut notices: Receiver<Notice>) {
    let mut limit = Limit::new(Instant::now());
    while let Some(notice) = notices.recv().await {
        if !limit.admit(&notice, Instant::now()) {
            continue;
        }
        let (namespace, event) = body(&notice, &node, Timestamp::now());
        for _ in 0..TRIES {
            if sink.post(&namespace, &event).await == Posted::Done {
                break;
            }
            sleep(pause()).await;
        }
    }
}

/// [`PAUSE`] on average, by chance from half of it: nodes that lost the API server in one moment do not come in step.
fn pause() -> Duration {
    // std seeds its hash maps by the kernel's random numbers.
    let drawn = RandomState::new().hash_one(0) % 1_024;
    PAUSE / 2 + PAUSE * drawn as u32 / 1_024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Reason;
    use std::sync::{Arc, Mutex};

    /// Is not there for its first calls, and writes down the others.
    #[derive(Clone)]
    struct Sink {
        absent: u32,
        calls: Arc<Mutex<Vec<String>>>,
    }

    impl EventSink for Sink {
        async fn post(&self, namespace: &str, event: &Value) -> Posted {
            let mut calls = self.calls.lock().unwrap();
            calls.push(format!("{namespace}: {}", event["note"].as_str().unwrap()));
            if calls.len() > self.absent as usize { Posted::Done } else { Posted::Later }
        }
    }

    /// The calls that a sink which is absent for so many of them sees of so many notices.
    fn calls(absent: u32, notices: u32) -> Vec<String> {
        let sink = Sink { absent, calls: Arc::default() };
        let seen = Arc::clone(&sink.calls);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async move {
            let recorder = EventRecorder::start("n1".into(), sink);
            for number in 0..notices {
                recorder.record(Notice::node(Reason::MapFull, number.to_string()));
            }
            sleep(PAUSE * TRIES * 3).await;
        });
        seen.lock().unwrap().clone()
    }

    #[test]
    fn an_event_waits_for_the_api_server() {
        assert_eq!(calls(0, 2), ["default: 0", "default: 1"]);
        assert_eq!(calls(2, 2), ["default: 0", "default: 0", "default: 0", "default: 1"]);
    }

    #[test]
    fn many_nodes_do_not_come_in_step() {
        let pauses: Vec<_> = (0..200).map(|_| pause()).collect();
        assert!(pauses.iter().all(|pause| *pause >= PAUSE / 2 && *pause < PAUSE * 3 / 2));
        assert!(pauses.iter().any(|pause| *pause < PAUSE * 3 / 4));
        assert!(pauses.iter().any(|pause| *pause > PAUSE * 5 / 4));
    }

    #[test]
    fn an_event_that_is_never_taken_makes_way_for_the_next() {
        let calls = calls(TRIES + 1, 2);
        let of = |note| calls.iter().filter(|call| **call == format!("default: {note}")).count();
        assert_eq!((of(0), of(1)), (12, 2));
    }
}
