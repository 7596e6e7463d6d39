//! TEMPORARY: replaced by shunt::lab::control_plane.
use anyhow::{Result, ensure};
use shunt::lab::{Namespace, Process, Scratch};
use std::{fs, net::Ipv4Addr, path::{Path, PathBuf}, process::{Command, Stdio}, time::{Duration, Instant}};

pub struct Plane {
    api: Option<Process>,
    _etcd: Process,
    pub namespace: Namespace,
    pub files: Scratch,
    audit: bool,
}

pub fn tools() -> PathBuf { "/root/.cache/shunt/kube-tools/v1.36.3".into() }

impl Plane {
    pub fn start(audit: bool) -> Result<Self> {
        let files = Scratch::new()?;
        let namespace = Namespace::new("control plane")?;
        let dir = files.path();
        let status = Command::new("openssl").args(["genrsa", "-out"]).arg(dir.join("sa.key")).arg("2048").stderr(Stdio::null()).status()?;
        ensure!(status.success());
        files.write("tokens.csv", "admintok,admin,1,system:masters\n")?;
        if audit { files.write("audit.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [ResponseStarted, ResponseComplete, Panic]\nrules: [{level: Metadata}]\n")?; }
        let mut etcd = Command::new(tools().join("etcd"));
        etcd.arg("--data-dir").arg(dir.join("etcd")).args(["--unsafe-no-fsync", "--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380", "--quota-backend-bytes", "4294967296", "--log-level", "error"]);
        etcd.stdin(Stdio::null()).stdout(fs::File::create(dir.join("etcd.log"))?).stderr(fs::File::create(dir.join("etcd.err"))?);
        namespace.enter_command(&mut etcd);
        let etcd = Process::start(&mut etcd)?;
        let mut plane = Self { api: None, _etcd: etcd, namespace, files, audit };
        plane.start_api()?;
        Ok(plane)
    }
    pub fn kill_api(&mut self) { self.api = None; }
    pub fn start_api(&mut self) -> Result<()> {
        let dir = self.files.path();
        let mut api = Command::new(tools().join("kube-apiserver"));
        api.args(["--etcd-servers", "http://127.0.0.1:2379", "--secure-port", "6443", "--bind-address", "0.0.0.0", "--service-cluster-ip-range", "10.96.0.0/12", "--service-account-issuer", "https://x", "--authorization-mode", "RBAC", "--enable-priority-and-fairness=false", "--max-requests-inflight", "3000", "--max-mutating-requests-inflight", "3000", "--endpoint-reconciler-type", "none", "--advertise-address", "127.0.0.1", "-v", "0"]);
        for (flag, file) in [("--cert-dir", "certs"), ("--service-account-key-file", "sa.key"), ("--service-account-signing-key-file", "sa.key"), ("--token-auth-file", "tokens.csv")] { api.arg(flag).arg(dir.join(file)); }
        if self.audit { api.arg("--audit-policy-file").arg(dir.join("audit.yaml")).arg("--audit-log-path").arg(dir.join("audit.log")).args(["--audit-log-maxsize", "0", "--audit-log-mode", "blocking"]); }
        let log = fs::File::options().create(true).append(true).open(dir.join("api.log"))?;
        api.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.namespace.enter_command(&mut api);
        self.api = Some(Process::start(&mut api)?);
        self.wait_ready()
    }
    fn wait_ready(&self) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let mut curl = Command::new("curl");
            curl.args(["-sk", "-H", "Authorization: Bearer admintok", "-o", "/dev/null", "-w", "%{http_code}", "https://127.0.0.1:6443/readyz"]);
            self.namespace.enter_command(&mut curl);
            if curl.output()?.stdout == b"200" { return Ok(()); }
            ensure!(Instant::now() < end, "kube-apiserver: {}", fs::read_to_string(self.files.path().join("api.log"))?);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    pub fn kubeconfig(&self, address: Ipv4Addr) -> Result<PathBuf> {
        let text = format!("apiVersion: v1\nkind: Config\nclusters: [{{name: a, cluster: {{server: 'https://{address}:6443', insecure-skip-tls-verify: true}}}}]\nusers: [{{name: a, user: {{token: admintok}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\ncurrent-context: a\n");
        Ok(self.files.write(&format!("kubeconfig-{address}"), &text)?)
    }
    pub fn audit_log(&self) -> PathBuf { self.files.path().join("audit.log") }
    pub fn _p(&self) -> &Path { self.files.path() }
}
