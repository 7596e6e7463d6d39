//! The programs of a control plane, started, killed and started again.

use super::{Credentials, Kubectl, Options, daemon::Daemon};
use crate::lab::{LabError, Scratch};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// On two idle cores an API server takes two seconds to get ready, on busy ones many more.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks whether it is.
const PAUSE: Duration = Duration::from_millis(100);

/// A control plane that runs. Dropping it kills its programs and removes what they have stored.
#[derive(Debug)]
pub struct ControlPlane {
    running: Mutex<Running>,
    options: Options,
    etcd: SocketAddr,
    credentials: Credentials,
    /// Data and logs. Last: the programs write there.
    directory: Scratch,
}

/// In the order in which they are to be killed.
#[derive(Debug)]
struct Running {
    controllers: Option<Daemon>,
    api_server: Option<Daemon>,
    etcd: Daemon,
    port: u16,
}

impl ControlPlane {
    /// Starts all of it and waits until the API server is ready.
    ///
    /// # Errors
    /// If a program cannot be started, ends, or is not ready after two minutes; the error has the end of its log.
    pub fn start(options: Options) -> Result<Self, LabError> {
        let (credentials, directory) = (Credentials::new(&options.users)?, Scratch::new()?);
        let loopback = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let [client, peer] = [free_port(&options)?, free_port(&options)?].map(loopback);
        let command = etcd(&options, client, peer, directory.path());
        let etcd = Daemon::start("etcd", options.place.clone(), command, directory.path())?;
        let running = Mutex::new(Running { controllers: None, api_server: None, etcd, port: 0 });
        let plane = Self { running, etcd: client, credentials, directory, options };
        let port = match plane.options.port {
            0 => plane.free_port()?,
            port => port,
        };
        plane.start_at(port)?;
        Ok(plane)
    }

    /// Where the API server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.options.ip, self.running().port)
    }

    /// `https://192.0.2.101:6443`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address())
    }

    /// Who may use it, beside the admin.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A kubeconfig for the user who may do anything, at the present address.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn admin(&self) -> Result<PathBuf, LabError> {
        self.credentials.admin(&self.url())
    }

    /// kubectl of the user who may do anything.
    ///
    /// # Errors
    /// If the kubeconfig cannot be written.
    pub fn kubectl(&self) -> Result<Kubectl, LabError> {
        Ok(self.kubectl_as(&self.admin()?))
    }

    /// kubectl with a kubeconfig.
    #[must_use]
    pub fn kubectl_as(&self, kubeconfig: &Path) -> Kubectl {
        let Options { tools, place, .. } = &self.options;
        let cache = self.directory.path().join("kubectl");
        Kubectl::new(tools.clone(), place.clone(), kubeconfig.to_owned(), cache)
    }

    /// Kills API server and controllers, and with them every watch. What is stored stays.
    pub fn kill(&self) {
        let mut running = self.running();
        (running.controllers, running.api_server) = (None, None);
    }

    /// Starts API server and controllers where they were, in the place of those that run, and waits until it is ready.
    ///
    /// # Errors
    /// See [`ControlPlane::start`].
    pub fn start_again(&self) -> Result<(), LabError> {
        let port = self.running().port;
        self.start_at(port)
    }

    /// The same at another port: for those who know only the old one, there is no API server.
    ///
    /// # Errors
    /// See [`ControlPlane::start`].
    pub fn start_at(&self, port: u16) -> Result<(), LabError> {
        self.kill();
        self.running().port = port;
        let start =
            |name, command| Daemon::start(name, self.options.place.clone(), command, self.directory.path());
        let api_server = start("kube-apiserver", self.api_server(port))?;
        self.running().api_server = Some(api_server);
        self.wait_until_ready()?;
        if !self.options.controllers.is_empty() {
            let controllers = start("kube-controller-manager", self.controllers()?)?;
            self.running().controllers = Some(controllers);
        }
        Ok(())
    }

    /// A TCP port that nobody listens on.
    ///
    /// # Errors
    /// If there is none.
    pub fn free_port(&self) -> Result<u16, LabError> {
        free_port(&self.options)
    }

    /// The process id of the API server, while it runs.
    #[must_use]
    pub fn api_server_id(&self) -> Option<u32> {
        self.running().api_server.as_mut().map(Daemon::id)
    }

    /// The logs: `etcd.log`, `kube-apiserver.log`, `kube-controller-manager.log`.
    #[must_use]
    pub fn logs(&self) -> &Path {
        self.directory.path()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api_server(&self, port: u16) -> Command {
        let Options { ip, service_networks, arguments, tools, .. } = &self.options;
        let (credentials, etcd) = (&self.credentials, self.etcd);
        let mut command = tools.command("kube-apiserver");
        command
            .arg(format!("--etcd-servers=http://{etcd}"))
            .args([format!("--bind-address={ip}"), format!("--advertise-address={ip}")])
            .args([
                format!("--secure-port={port}"),
                format!("--cert-dir={}", credentials.directory().display()),
            ])
            .arg(format!("--token-auth-file={}", credentials.users().display()))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-signing-key-file={}", credentials.key().display()))
            .arg(format!("--service-account-key-file={}", credentials.key().display()))
            .arg(format!("--service-cluster-ip-range={}", service_networks.join(",")))
            .args(["--authorization-mode=RBAC", "--anonymous-auth=false", "--allow-privileged=true"])
            // Pods are to need no ServiceAccount of their own.
            .arg("--disable-admission-plugins=ServiceAccount")
            .args(["--profiling=false", "--event-ttl=10m"]);
        if ip.is_loopback() {
            // An address that no EndpointSlice may have.
            command.arg("--endpoint-reconciler-type=none");
        }
        command.args(arguments);
        command
    }

    fn controllers(&self) -> Result<Command, LabError> {
        let mut command = self.options.tools.command("kube-controller-manager");
        command
            .arg("--kubeconfig")
            .arg(self.admin()?)
            .arg(format!("--controllers={}", self.options.controllers.join(",")))
            .args(["--leader-elect=false", "--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000"]);
        Ok(command)
    }

    fn wait_until_ready(&self) -> Result<(), LabError> {
        let (address, kubectl) = (self.address(), self.kubectl()?);
        let listens = || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        let end = Instant::now() + PATIENCE;
        // kubectl takes a tenth of a second of a core each time.
        while !self.options.place.run(listens)? || kubectl.run(&["get", "--raw", "/readyz"]).is_err() {
            let mut running = self.running();
            running.etcd.check()?;
            if let Some(server) = &mut running.api_server {
                server.check()?;
                if Instant::now() > end {
                    return Err(server.failure(io::ErrorKind::TimedOut, "not ready"));
                }
            }
            drop(running);
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

fn etcd(options: &Options, client: SocketAddr, peer: SocketAddr, directory: &Path) -> Command {
    let mut etcd = options.tools.command("etcd");
    etcd.args(["--unsafe-no-fsync", "--log-level=warn", "--quota-backend-bytes=8589934592"])
        .arg(format!("--listen-client-urls=http://{client}"))
        .arg(format!("--advertise-client-urls=http://{client}"))
        .arg(format!("--listen-peer-urls=http://{peer}"))
        .arg(format!("--initial-advertise-peer-urls=http://{peer}"))
        .arg(format!("--initial-cluster=default=http://{peer}"))
        .arg("--data-dir")
        .arg(directory.join("etcd"));
    etcd
}

fn free_port(options: &Options) -> Result<u16, LabError> {
    let bind = || TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), 0))?.local_addr();
    let bound = options.place.run(bind)?;
    bound.map(|address| address.port()).map_err(|error| LabError::new("bind", "a free port", error))
}
