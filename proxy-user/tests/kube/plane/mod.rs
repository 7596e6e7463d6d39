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
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The networks of ClusterIPs.
pub const SERVICE_NETWORKS: [&str; 2] = ["10.96.0.0/16", "fd00:10:96::/112"];

const PORT: u16 = 6443;
const ETCD: &str = "http://127.0.0.1:2379";

/// On two busy cores an API server takes up to some ten seconds.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked whether something has happened.
const PAUSE: Duration = Duration::from_millis(100);

/// The programs that run, and what they need.
pub struct Plane {
    controllers: Option<Daemon>,
    api_server: Option<Daemon>,
    etcd: Daemon,
    tools: Tools,
    place: Place,
    ips: Vec<IpAddr>,
    /// Arguments that the API server is started with beside the usual ones.
    more: Vec<String>,
    credentials: Credentials,
    /// Data and logs. Last: the programs write there.
    directory: Scratch,
}

impl Plane {
    /// Starts everything at a place with these addresses, the first of which the API server is known by.
    pub fn start(tools: Tools, place: impl Into<Place>, ips: &[IpAddr]) -> Self {
        Self::start_with(tools, place, ips, &[])
    }

    /// The same with more arguments for the API server.
    pub fn start_with(tools: Tools, place: impl Into<Place>, ips: &[IpAddr], more: &[&str]) -> Self {
        let (place, directory) = (place.into(), Scratch::new().unwrap());
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let credentials = Credentials::new(&ips.iter().copied().chain([loopback]).collect::<Vec<_>>());
        let mut etcd = tools.command("etcd");
        etcd.args(["--unsafe-no-fsync", "--log-level=warn", "--listen-peer-urls=http://127.0.0.1:2380"])
            .arg(format!("--listen-client-urls={ETCD}"))
            .arg(format!("--advertise-client-urls={ETCD}"))
            .arg("--quota-backend-bytes=8589934592")
            .arg("--data-dir")
            .arg(directory.path().join("etcd"));
        let etcd = Daemon::start("etcd", place.clone(), etcd, directory.path());
        let more = more.iter().map(ToString::to_string).collect();
        let ips = ips.to_vec();
        let mut plane = Self {
            controllers: None,
            api_server: None,
            etcd,
            tools,
            place,
            ips,
            more,
            credentials,
            directory,
        };
        plane.start_api_server();
        plane.start_controllers();
        plane
    }

    /// `https://192.0.2.101:6443`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ips[0], PORT)
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

    /// A kubeconfig for the user who may do anything.
    pub fn admin(&self) -> PathBuf {
        self.credentials.admin(&self.url())
    }

    /// Starts the API server and waits until it is ready.
    pub fn start_api_server(&mut self) {
        assert!(self.api_server.is_none(), "an API server runs already");
        let command = self.api_server_command();
        let server = Daemon::start("kube-apiserver", self.place.clone(), command, self.directory.path());
        self.api_server = Some(server);
        self.wait_until_ready();
    }

    /// Kills the API server, and with it every watch.
    pub fn kill_api_server(&mut self) {
        assert!(self.api_server.take().is_some(), "no API server runs");
    }

    /// Starts the EndpointSlice controller.
    pub fn start_controllers(&mut self) {
        let mut command = self.tools.command("kube-controller-manager");
        command
            .arg("--kubeconfig")
            .arg(self.credentials.admin(&self.url()))
            // What else it can do is not asked for: no controller deletes pods of nodes that have no kubelet.
            .args(["--controllers=endpointslice-controller,namespace-controller", "--leader-elect=false"])
            .args(["--kube-api-qps=500", "--kube-api-burst=1000", "--secure-port=0"]);
        let name = "kube-controller-manager";
        self.controllers = Some(Daemon::start(name, self.place.clone(), command, self.directory.path()));
    }

    /// Kills the controllers: slices stay as they are.
    pub fn kill_controllers(&mut self) {
        self.controllers = None;
    }

    /// The end of the API server's log.
    pub fn api_server_log(&self) -> String {
        self.api_server.as_ref().map(Daemon::log).unwrap_or_default()
    }

    fn api_server_command(&self) -> Command {
        let file = |name: &str| self.credentials.file(name).display().to_string();
        let mut command = self.tools.command("kube-apiserver");
        command
            .arg(format!("--etcd-servers={ETCD}"))
            .arg(format!("--secure-port={PORT}"))
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

    fn wait_until_ready(&mut self) {
        let (address, end) = (self.address(), Instant::now() + PATIENCE);
        let kubectl = self.kubectl();
        let Some(server) = &mut self.api_server else { return };
        let listens = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        // kubectl takes a tenth of a second of a core each time.
        while !self.place.run(listens).unwrap() || !kubectl.succeeds(&["get", "--raw", "/readyz"]) {
            server.assert_runs();
            self.etcd.assert_runs();
            assert!(Instant::now() < end, "the API server does not get ready:\n{}", server.log());
            thread::sleep(PAUSE);
        }
    }
}
