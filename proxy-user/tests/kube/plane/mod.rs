//! A real control plane in one namespace of the laboratory: etcd, kube-apiserver and, of kube-controller-manager, the
//! EndpointSlice controller. Benches include this directory too.
//!
//! ```text
//! kubectl ──┐            192.0.2.101:6443
//! agents ───┴──────────▶ kube-apiserver ──▶ etcd (127.0.0.1 of the namespace, no fsync)
//!                          ▲
//!             kube-controller-manager
//! ```
#![allow(dead_code, reason = "each user has need of a part")]

mod credentials;
mod daemon;
mod kubectl;
mod tools;

pub use credentials::Credentials;
pub use daemon::Daemon;
pub use kubectl::Kubectl;
pub use tools::Tools;

use shunt::lab::{Place, Scratch};
use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The networks of ClusterIPs.
pub const SERVICE_NETWORKS: [&str; 2] = ["10.96.0.0/16", "fd00:10:96::/112"];

/// Where the API server listens that everybody knows.
pub const PORT: u16 = 6443;

/// Where one listens that only kubectl and the controllers know of: for everybody else there is none.
pub const HIDDEN_PORT: u16 = 6444;

const ETCD: &str = "http://127.0.0.1:2379";

/// On two busy cores an API server takes up to some ten seconds.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked whether something has happened.
const PAUSE: Duration = Duration::from_millis(100);

/// The programs that run, and what they need.
pub struct Plane {
    running: Mutex<Running>,
    tools: Tools,
    place: Place,
    ips: Vec<IpAddr>,
    /// Arguments that the API server is started with beside the usual ones.
    more: Vec<String>,
    credentials: Credentials,
    /// Data and logs. Last: the programs write there.
    directory: Scratch,
}

struct Running {
    port: u16,
    controllers: Option<Daemon>,
    api_server: Option<Daemon>,
    etcd: Daemon,
}

impl Plane {
    /// Starts everything at a place with these addresses, the first of which the API server is known by. It gets
    /// arguments beside its own, and lets users do anything who come with these tokens.
    pub fn start(
        tools: Tools,
        place: impl Into<Place>,
        ips: &[IpAddr],
        more: &[&str],
        users: &[(&str, &str)],
    ) -> Self {
        let (place, directory) = (place.into(), Scratch::new().unwrap());
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let credentials = Credentials::new(&ips.iter().copied().chain([loopback]).collect::<Vec<_>>());
        credentials.set_tokens(users);
        let etcd = Daemon::start("etcd", place.clone(), etcd(&tools, &directory), directory.path());
        let running = Mutex::new(Running { port: PORT, controllers: None, api_server: None, etcd });
        let more = more.iter().map(ToString::to_string).collect();
        let plane = Self { running, tools, place, ips: ips.to_vec(), more, credentials, directory };
        plane.start_at(PORT);
        plane
    }

    /// `https://192.0.2.101:6443`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ips[0], self.running().port)
    }

    /// Who may use it.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// kubectl of the user who may do anything.
    pub fn kubectl(&self) -> Kubectl {
        self.kubectl_as(&self.credentials.admin(&self.url()))
    }

    /// kubectl with a kubeconfig.
    pub fn kubectl_as(&self, kubeconfig: &Path) -> Kubectl {
        let cache = self.directory.path().join("kubectl");
        Kubectl::new(self.tools.clone(), self.place.clone(), kubeconfig.to_owned(), cache)
    }

    /// Starts API server and controllers at a port, in the place of those that run, and waits until it is ready.
    pub fn start_at(&self, port: u16) {
        self.kill();
        self.running().port = port;
        let name = "kube-apiserver";
        let server = Daemon::start(name, self.place.clone(), self.api_server(port), self.directory.path());
        self.running().api_server = Some(server);
        self.wait_until_ready();
        let name = "kube-controller-manager";
        let controllers = Daemon::start(name, self.place.clone(), self.controllers(), self.directory.path());
        self.running().controllers = Some(controllers);
    }

    /// Kills API server and controllers, and with them every watch. What is stored stays.
    pub fn kill(&self) {
        let mut running = self.running();
        (running.controllers, running.api_server) = (None, None);
    }

    /// The process id of the API server.
    pub fn api_server_id(&self) -> u32 {
        self.running().api_server.as_mut().unwrap().id()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api_server(&self, port: u16) -> Command {
        let file = |name: &str| self.credentials.file(name).display().to_string();
        let mut command = self.tools.command("kube-apiserver");
        command
            .arg(format!("--etcd-servers={ETCD}"))
            .arg(format!("--secure-port={port}"))
            .arg(format!("--advertise-address={}", self.ips[0]))
            .arg(format!("--tls-cert-file={}", file("server.crt")))
            .arg(format!("--tls-private-key-file={}", file("server.key")))
            .arg(format!("--client-ca-file={}", file("ca.crt")))
            .arg(format!("--token-auth-file={}", file("tokens.csv")))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-signing-key-file={}", file("service-accounts.key")))
            .arg(format!("--service-account-key-file={}", file("service-accounts.pub")))
            .arg(format!("--service-cluster-ip-range={}", SERVICE_NETWORKS.join(",")))
            .args(["--authorization-mode=RBAC", "--anonymous-auth=false", "--allow-privileged=true"])
            // Pods are to need no ServiceAccount of their own.
            .arg("--disable-admission-plugins=ServiceAccount")
            .args(["--profiling=false", "--event-ttl=10m"])
            .args(&self.more);
        command
    }

    fn controllers(&self) -> Command {
        let mut command = self.tools.command("kube-controller-manager");
        command
            .arg("--kubeconfig")
            .arg(self.credentials.admin(&self.url()))
            // No others: one would delete the pods of nodes that have no kubelet.
            .args(["--controllers=endpointslice-controller,namespace-controller", "--leader-elect=false"])
            .args(["--kube-api-qps=500", "--kube-api-burst=1000", "--secure-port=0"]);
        command
    }

    fn wait_until_ready(&self) {
        let (address, kubectl) = (self.address(), self.kubectl());
        let listens = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        let end = Instant::now() + PATIENCE;
        // kubectl takes a tenth of a second of a core each time.
        while !self.place.run(listens).unwrap() || !kubectl.succeeds(&["get", "--raw", "/readyz"]) {
            let mut running = self.running();
            running.etcd.assert_runs();
            let server = running.api_server.as_mut().unwrap();
            server.assert_runs();
            assert!(Instant::now() < end, "the API server does not get ready:\n{}", server.log());
            drop(running);
            thread::sleep(PAUSE);
        }
    }
}

fn etcd(tools: &Tools, directory: &Scratch) -> Command {
    let mut etcd = tools.command("etcd");
    etcd.args(["--unsafe-no-fsync", "--log-level=warn", "--listen-peer-urls=http://127.0.0.1:2380"])
        .arg(format!("--listen-client-urls={ETCD}"))
        .arg(format!("--advertise-client-urls={ETCD}"))
        .arg(format!("--quota-backend-bytes={}", 8_u64 << 30))
        .arg("--data-dir")
        .arg(directory.path().join("etcd"));
    etcd
}
