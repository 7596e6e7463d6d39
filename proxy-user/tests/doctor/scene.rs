//! A node in a network namespace, with a device to the world, an agent, and the doctor.

use crate::command::{Agent, PROGRAM, Said, Site, copy_examples, shunt};
use proxy_common::abi::ABI_VERSION;
use serde_json::Value;
use shunt::{
    kernel::{LockState, lock_state},
    lab::Namespace,
};
use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
};

pub struct Scene {
    pub site: Site,
    pub node: Namespace,
    /// The other end of the node's device.
    world: Namespace,
}

/// What an agent of this scene is told.
pub const OPEN: [&str; 6] =
    ["--interfaces", "up*", "--healthz-address", "127.0.0.1:10256", "--metrics-address", "127.0.0.1:10249"];

impl Scene {
    pub fn new() -> Self {
        let (node, world) = (Namespace::new("node").unwrap(), Namespace::new("world").unwrap());
        node.forward().unwrap();
        node.connect("up0", &world, "down0").unwrap();
        let scene = Self { site: Site::new(), node, world };
        copy_examples(&scene.site.manifests());
        scene
    }

    /// Starts an agent and waits until its device is attached to.
    pub fn start(&self) -> Agent {
        self.start_with(&OPEN)
    }

    pub fn start_with(&self, more: &[&str]) -> Agent {
        let mut agent = self.site.begin_command(self.command(more));
        agent.wait_for("ready: ");
        agent
    }

    pub fn command(&self, more: &[&str]) -> Command {
        let mut command = self.site.run(&self.site.manifests(), more);
        self.node.enter_command(&mut command);
        command
    }

    /// `shunt run` on this node that follows an API server.
    pub fn follow(&self, kubeconfig: &Path) -> Command {
        let mut command = shunt(&["run", "--node", "lab-node", "--kubeconfig"]);
        command.arg(kubeconfig).arg("--cgroup").arg(self.site.cgroup.path());
        command.args(["--pin-path", &self.site.pins()]);
        self.node.enter_command(&mut command);
        command
    }

    pub fn link(&self, name: &str) -> PathBuf {
        Path::new(&self.site.pins()).join(format!("v{ABI_VERSION}/links")).join(name)
    }

    pub fn map(&self, name: &str) -> PathBuf {
        Path::new(&self.site.pins()).join(format!("v{ABI_VERSION}/maps")).join(name)
    }

    /// Another device of the node's.
    pub fn add_device(&self, name: &str) {
        self.node.connect(name, &self.world, name).unwrap();
    }

    /// A sample of the agent's metrics.
    pub fn sample(&self, name: &str) -> f64 {
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 10_249);
        let page = self.node.run(|| {
            let mut stream = TcpStream::connect(at).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            page
        });
        let page = page.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// What the doctor says on the node.
    pub fn doctor(&self, more: &[&str]) -> Said {
        let pins = self.site.pins();
        let mut command = shunt(&[&["doctor", "--pin-path", &pins], more].concat());
        // Where an agent runs, the doctor knows its cgroup.
        if !self.is_running() && !more.contains(&"--cgroup") {
            command.arg("--cgroup").arg(self.site.cgroup.path());
        }
        self.node.enter_command(&mut command);
        command.output().unwrap().into()
    }

    /// The same as a user without any capability, with a copy of the program that this user may run.
    pub fn as_nobody(&self) -> Diagnosis {
        let program = self.site.directory.path().join("shunt");
        std::fs::copy(PROGRAM, &program).unwrap();
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
        ]);
        command.arg(program).args(["doctor", "-o", "json", "--pin-path", &self.site.pins()]);
        command.env_remove("NODE_NAME").env_remove("RUST_LOG");
        self.node.enter_command(&mut command);
        Diagnosis::of(&command.output().unwrap().into())
    }

    fn is_running(&self) -> bool {
        matches!(lock_state(Path::new(&self.site.pins())), Ok(LockState::Held(_)))
    }

    /// The same as JSON.
    pub fn diagnosis(&self, more: &[&str]) -> Diagnosis {
        Diagnosis::of(&self.doctor(&[&["-o", "json"], more].concat()))
    }
}

/// What the doctor says, and its exit code.
pub struct Diagnosis {
    pub code: i32,
    pub json: Value,
}

impl Diagnosis {
    fn of(said: &Said) -> Self {
        let json = serde_json::from_str(&said.out);
        let json: Value = json.unwrap_or_else(|error| panic!("{error}: {}{}", said.out, said.err));
        let explained = include_str!("../../../docs/doctor.md");
        for finding in json["findings"].as_array().unwrap() {
            let id = finding["id"].as_str().unwrap();
            assert!(explained.contains(&format!("`{id}`")), "docs/doctor.md does not explain {id}");
        }
        Self { code: said.code.unwrap(), json }
    }

    /// The names of what was found, what is worst first.
    pub fn found(&self) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["id"].as_str().unwrap()).collect()
    }

    /// Says that this was found, with these words in what was found and in the remedy.
    #[track_caller]
    pub fn has(&self, id: &str, what: &str, remedy: &str) {
        let findings = self.json["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["id"] == id);
        let finding = finding.unwrap_or_else(|| panic!("no {id} in {:#}", self.json["findings"]));
        let text = |field: &str| finding[field].as_str().unwrap().to_owned();
        assert!(text("what").contains(what), "{what:?} is not in: {}", text("what"));
        assert!(text("remedy").contains(remedy), "{remedy:?} is not in: {}", text("remedy"));
        assert!(!text("why").is_empty());
    }

    /// How bad it is, where it was found.
    pub fn severity(&self, id: &str) -> Option<String> {
        let findings = self.json["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["id"] == id)?;
        Some(finding["severity"].as_str().unwrap().to_owned())
    }

    /// The names of the checks.
    pub fn checks(&self) -> Vec<&str> {
        let checks = self.json["checks"].as_array().unwrap();
        checks.iter().map(|check| check["check"].as_str().unwrap()).collect()
    }

    /// What a check noted for programs.
    pub fn facts(&self, check: &str) -> &Value {
        let checks = self.json["checks"].as_array().unwrap();
        &checks.iter().find(|found| found["check"] == check).unwrap_or_else(|| panic!("no {check}"))["facts"]
    }
}
