//! The source under test, and what an agent would have made of its batches.

use super::{
    api::Api,
    http::Server,
    objects::{NODE, applied, of},
};
use shunt::{
    model::Event,
    source::{
        kube::{Batch, KubeSource, Notice, Options, Problem},
        kubernetes::ObjectId,
    },
};
use std::{collections::BTreeMap, fs, future::Future, time::Duration};
use tempfile::TempDir;

/// The longest that a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Options with waits that a test can bear, and nothing drawn by chance.
pub fn options(servers: &[&Server], kubeconfig: &TempDir) -> Options {
    Options {
        node: NODE.into(),
        kubeconfig: Some(kubeconfig.path().join("config")),
        api_servers: servers.iter().map(|server| server.url()).collect(),
        relist_spread: Duration::from_millis(5),
        backoff: (Duration::from_millis(5), Duration::from_millis(40)),
        answer: Duration::from_millis(400),
        silence: Duration::from_secs(30),
        absent: Duration::from_millis(30),
        confirm_after: Duration::from_millis(200),
        seed: Some(1),
        ..Options::default()
    }
}

/// A kubeconfig whose credentials are a token file, which says `first`.
pub fn kubeconfig() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    fs::write(&token, "first").unwrap();
    let config = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: k, cluster: {{server: \
         \"http://127.0.0.1:1\"}}}}]\nusers: [{{name: u, user: {{tokenFile: {token:?}}}}}]\ncontexts: [{{name: c, \
         context: {{cluster: k, user: u}}}}]\n"
    );
    fs::write(directory.path().join("config"), config).unwrap();
    directory
}

/// A source, with the objects that its batches add up to.
pub struct Client {
    pub source: KubeSource,
    pub objects: BTreeMap<ObjectId, Event>,
    pub events: Vec<Event>,
    pub problems: Vec<Problem>,
    pub notices: Vec<Notice>,
    pub triggers: usize,
    pub synced: bool,
    pub kubeconfig: TempDir,
}

impl Client {
    pub async fn start(server: &Server) -> Self {
        Self::start_with(&[server], |_| {}).await
    }

    pub async fn start_with(servers: &[&Server], change: impl FnOnce(&mut Options)) -> Self {
        let kubeconfig = kubeconfig();
        let mut options = options(servers, &kubeconfig);
        change(&mut options);
        Self {
            source: KubeSource::start(options).await.unwrap(),
            objects: BTreeMap::new(),
            events: Vec::new(),
            problems: Vec::new(),
            notices: Vec::new(),
            triggers: 0,
            synced: false,
            kubeconfig,
        }
    }

    /// Takes the next batch.
    pub async fn step(&mut self) {
        let Batch { events, came, problems, triggers, notices, synced } =
            within("a batch comes", self.source.next()).await;
        assert!(synced || !self.synced, "synced stays");
        assert_eq!(came.is_some(), !events.is_empty());
        self.synced = synced;
        self.triggers += triggers.len();
        self.problems.extend(problems);
        self.notices.extend(notices);
        self.events.extend(events.iter().cloned());
        for event in events {
            match of(event) {
                (id, Some(event)) => self.objects.insert(id, event),
                (id, None) => self.objects.remove(&id),
            };
        }
    }

    /// Takes batches until something is true.
    pub async fn until(&mut self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let waited = within(what, async {
            while !is(self) {
                self.step().await;
            }
        });
        waited.await;
    }

    /// Takes batches until the objects are those of the server.
    pub async fn follows(&mut self, api: &Api) {
        let wanted = || {
            let events = api.wanted().into_iter().filter_map(|object| applied(&object));
            events.map(|event| (of(event.clone()).0, event)).collect::<BTreeMap<_, _>>()
        };
        self.until("the objects are those of the server", |client| {
            client.synced && client.objects == wanted()
        })
        .await;
    }

    /// Takes what comes while something else happens.
    pub async fn meanwhile(&mut self, what: &str, mut is: impl FnMut() -> bool) {
        let waited = async {
            while !is() {
                tokio::select! {
                    () = self.step() => {}
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what}"));
    }

    /// Whether a problem's text has this word.
    pub fn told(&self, word: &str) -> bool {
        self.problems.iter().any(|problem| problem.to_string().contains(word))
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("in time: {what}"))
}
