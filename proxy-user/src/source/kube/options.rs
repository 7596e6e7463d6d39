//! What an embedder or an operator chooses.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Options of the source.
#[derive(Clone, Debug)]
pub struct Options {
    /// `metadata.name` of this node, whose Node is followed.
    pub node: String,
    /// Credentials and server; without one, those of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; without one, its current one.
    pub context: Option<String>,
    /// API servers, instead of the one that the credentials name. Where one fails, the next is asked.
    pub api_servers: Vec<String>,
    /// The first lists begin within so long, at a moment drawn by chance. Zero where nothing is programmed yet.
    pub startup_spread: Duration,
    /// Relists that a server asks for (410) begin within so long. After a restart of the server every agent relists: within 5
    /// seconds, 200 agents would still send more than 160 lists a second (the bench `watchers`).
    pub relist_spread: Duration,
    /// Ceiling of the first wait after a failure, and of all waits.
    pub backoff: (Duration, Duration),
    /// A server is asked to end a watch after so long, drawn by chance between both.
    pub watch: (Duration, Duration),
    /// A request is given up when its answer has not begun after so long.
    pub answer: Duration,
    /// A list is given up when nothing has come for so long; a watch is begun anew after between once and twice so long.
    pub silence: Duration,
    /// A kind that the API does not have is asked for again after between once and twice so long.
    pub absent: Duration,
    /// A relist that would delete more than this share of the Services, or of the EndpointSlices, is held
    /// back, as is an empty one of any kind. Percent; 100 believes everything.
    pub relist_guard: u8,
    /// A second list confirms what was held back, so long after the first. Zero believes everything.
    pub confirm_after: Duration,
    /// What an earlier agent left in the kernel: the first lists are measured by it.
    pub pinned: Pinned,
    /// The longest object that is read, bytes.
    pub longest_object: usize,
    /// Slices' triggers before that moment are not told: nobody could have programmed them sooner.
    pub started: SystemTime,
    /// Waits and spreads are drawn by chance. Without it they are always the longest, and all clients come at once: for
    /// measuring what jitter spares an API server, and for nothing else.
    pub jitter: bool,
    /// Seed of the random numbers; without one, the kernel's.
    pub seed: Option<u64>,
}

/// What an earlier agent left in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pinned {
    /// Services.
    pub services: usize,
    /// Endpoints of them.
    pub endpoints: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: String::new(),
            kubeconfig: None,
            context: None,
            api_servers: Vec::new(),
            startup_spread: Duration::ZERO,
            relist_spread: Duration::from_secs(10),
            backoff: (Duration::from_secs(1), Duration::from_secs(30)),
            watch: (Duration::from_secs(300), Duration::from_secs(600)),
            answer: Duration::from_secs(75),
            silence: Duration::from_secs(150),
            absent: Duration::from_secs(300),
            relist_guard: 50,
            confirm_after: Duration::from_secs(60),
            pinned: Pinned::default(),
            // etcd's default limit is 1.5 MiB in protobuf; the same object as JSON is a few times longer.
            longest_object: 16 << 20,
            started: SystemTime::now(),
            jitter: true,
            seed: None,
        }
    }
}
