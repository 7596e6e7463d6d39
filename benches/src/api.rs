//! A plain client of an API server: many requests at a time, and a watch that notes when its events come.

use anyhow::{Context as _, Result, bail, ensure};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use serde_json::Value;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::task::JoinSet;

/// What one request asks for.
#[derive(Clone, Debug)]
pub struct Call {
    /// POST or PUT.
    pub method: Method,
    /// Path.
    pub path: String,
    /// Object.
    pub body: Value,
}

/// A client with the credentials of a kubeconfig file.
#[derive(Clone)]
pub struct Api {
    client: Client,
}

impl Api {
    /// A client; it connects with its first request, from the network namespace of the thread that polls it.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub async fn new(kubeconfig: &Path) -> Result<Self> {
        let file = Kubeconfig::read_from(kubeconfig).context("kubeconfig")?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        Ok(Self { client: Client::try_from(config)? })
    }

    /// Sends an object.
    ///
    /// # Errors
    /// Any answer but 2xx.
    pub async fn call(&self, call: &Call) -> Result<()> {
        let request = Request::builder()
            .method(&call.method)
            .uri(&call.path)
            .header("content-type", "application/json")
            .body(serde_json::to_vec(&call.body)?)?;
        let answer = self.client.request_text(request).await;
        answer.map(drop).with_context(|| format!("{} {}", call.method, call.path))
    }

    /// Sends the objects with the numbers below `count`, up to `parallel` at a time.
    ///
    /// # Errors
    /// The first that failed.
    pub async fn all(
        &self,
        count: usize,
        parallel: usize,
        call: impl Fn(usize) -> Call + Send + Sync + 'static,
    ) -> Result<()> {
        let (next, call) = (Arc::new(AtomicUsize::new(0)), Arc::new(call));
        let mut workers = JoinSet::new();
        for _ in 0..parallel {
            let (api, next, call) = (self.clone(), Arc::clone(&next), Arc::clone(&call));
            workers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return anyhow::Ok(());
                    }
                    api.call(&call(number)).await?;
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended.context("a worker")??;
        }
        Ok(())
    }

    /// What is at a path.
    ///
    /// # Errors
    /// Any answer but 2xx, and one that is no JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(path).body(Vec::new())?;
        self.client.request(request).await.with_context(|| format!("GET {path}"))
    }

    /// Follows a collection from its present version on, until the future is dropped; `ready` is told once events
    /// from then on are sure to come, and `event` the name of each object that changed with the moment when its last
    /// byte had come.
    ///
    /// # Errors
    /// Where the watch ends.
    pub async fn watch(
        &self,
        collection: &str,
        ready: impl FnOnce(),
        mut event: impl FnMut(&str, Instant),
    ) -> Result<()> {
        let list = self.get(&format!("{collection}?limit=1")).await?;
        let version = list["metadata"]["resourceVersion"].as_str().context("a list without a version")?;
        let request = Request::get(format!("{collection}?watch=true&resourceVersion={version}"));
        let answer = self.client.send(request.body(Body::from(Vec::new()))?).await.context("watch")?;
        ensure!(answer.status().is_success(), "watch: {}", answer.status());
        ready();
        let (mut body, mut line) = (answer.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.context("watch")?;
            let (now, mut rest) = (Instant::now(), frame.data_ref().map_or(&[][..], |data| data));
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                line.extend_from_slice(&rest[..end]);
                let changed: Changed = serde_json::from_slice(&line).context("a watch event")?;
                event(&changed.object.metadata.name, now);
                line.clear();
                rest = &rest[end + 1..];
            }
            line.extend_from_slice(rest);
        }
        bail!("the watch ended");
    }
}

#[derive(Deserialize)]
struct Changed {
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}
