//! A real control plane for scenarios: in a network namespace of its own, joined to those of agents only, set up so
//! that it is never what a measurement waits for.

use anyhow::{Context as _, Result, ensure};
use shunt::lab::{
    Namespace, Scratch,
    control_plane::{ControlPlane, Options, Tools},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Where `cargo xtask kube-tools` puts the programs.
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/kube-tools");

/// The API server's own address, and its port.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const PORT: u16 = 6_443;

/// Requests are neither queued nor refused, however many there are: a limit would flatten the very peaks that are
/// looked for.
const UNLIMITED: [&str; 3] = [
    "--enable-priority-and-fairness=false",
    "--max-requests-inflight=10000",
    "--max-mutating-requests-inflight=10000",
];

/// How long the kernel may take to remove a namespace: with kube-proxy's rules of 10,000 Services it is no trifle.
const LEAVING: Duration = Duration::from_secs(120);

/// One entry for each request, as it was received.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted, ResponseComplete, Panic]
rules: [{level: Metadata}]
";

/// A control plane without controllers. Dropping it ends it.
#[derive(Debug)]
pub struct Plane {
    control: ControlPlane,
    tools: Tools,
    files: Scratch,
    namespace: Namespace,
}

impl Plane {
    /// Starts it, and waits until it is ready.
    ///
    /// # Errors
    /// Where a program is missing or does not start.
    pub fn start() -> Result<Self> {
        let tools = tools()?;
        let (namespace, files) = (Namespace::new("control plane")?, Scratch::new()?);
        namespace.forward()?;
        namespace.add_address("lo", ADDRESS.into(), 32)?;
        let policy = files.write("audit-policy.yaml", AUDIT_POLICY)?;
        let audit = [
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", audit_log(&files).display()),
            // Never another file.
            "--audit-log-maxsize=0".to_owned(),
        ];
        let arguments = UNLIMITED.into_iter().map(str::to_owned).chain(audit).collect();
        let control = ControlPlane::start(Options {
            place: (&namespace).into(),
            ip: ADDRESS.into(),
            port: PORT,
            controllers: Vec::new(),
            arguments,
            ..Options::on_loopback(tools.clone())
        })?;
        Ok(Self { control, tools, files, namespace })
    }

    /// Its network namespace.
    #[must_use]
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The programs.
    #[must_use]
    pub const fn control(&self) -> &ControlPlane {
        &self.control
    }

    /// Where a Kubernetes program is.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn tool(&self, name: &str) -> Result<PathBuf> {
        self.tools.path(name).with_context(|| format!("no {name} here: run `cargo xtask kube-tools`"))
    }

    /// A kubeconfig of the user who may do anything.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn kubeconfig(&self) -> Result<PathBuf> {
        Ok(self.control.admin()?)
    }

    /// Where the API server writes down every request.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        audit_log(&self.files)
    }

    /// Joins a namespace to it: `eth0` there, with the second address of 10.9.`link`.0/30, and a route to the API
    /// server. Waits until a former namespace on this link is gone: the kernel takes one apart at its leisure, its rules
    /// before its devices, and what that costs is not to fall on who comes next.
    ///
    /// # Errors
    /// Where the former one stays for two minutes.
    pub fn join(&self, other: &Namespace, link: u8) -> Result<Ipv4Addr> {
        let (here, there) = (Ipv4Addr::new(10, 9, link, 1), Ipv4Addr::new(10, 9, link, 2));
        let device = format!("link{link}");
        let end = Instant::now() + LEAVING;
        while self.namespace.device_index(&device).is_ok() {
            ensure!(Instant::now() < end, "{device} is still there after {LEAVING:?}");
            thread::sleep(Duration::from_millis(50));
        }
        self.namespace.connect(&device, other, LINK)?;
        self.namespace.add_address(&device, here.into(), 30)?;
        other.add_address(LINK, there.into(), 30)?;
        other.add_route(IpAddr::V4(ADDRESS), 32, Some(here.into()), LINK)?;
        Ok(there)
    }
}

/// The device of a namespace that leads to the control plane.
pub const LINK: &str = "eth0";

/// The Kubernetes programs, kube-proxy among them.
///
/// # Errors
/// What is missing.
pub fn tools() -> Result<Tools> {
    let tools = Tools::find(Path::new(TOOLS)).map_err(anyhow::Error::msg)?;
    ensure!(tools.path("kube-proxy").is_some(), "no kube-proxy here: run `cargo xtask kube-tools`");
    Ok(tools)
}

fn audit_log(files: &Scratch) -> PathBuf {
    files.path().join("audit.log")
}
