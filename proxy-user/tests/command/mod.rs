//! The built `shunt` command, run as a user would.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used)] // clippy.toml allows it in #[test] functions, but not in their helpers

use shunt::lab::{Bpffs, Cgroup, Process, available};
use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_shunt");
/// The longest that anything here may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The command, with nothing of the environment that would change what it does.
pub fn shunt(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).stdin(Stdio::null());
    command.env_remove("NODE_NAME").env_remove("RUST_LOG").env_remove("NO_COLOR");
    command
}

/// What the command said.
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs the command to its end.
pub fn said(args: &[&str]) -> Said {
    shunt(args).output().unwrap().into()
}

/// Where the manifests are that the README and the demo use.
pub fn examples() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").to_str().unwrap().to_owned()
}

pub fn copy_examples(to: &Path) {
    for entry in fs::read_dir(examples()).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Why no lab can be made here, printed; a machine that must have one says so by SHUNT_REQUIRE_LAB.
pub fn skipped() -> bool {
    match available() {
        Ok(()) => false,
        Err(reason) => {
            assert!(env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
            eprintln!("skipped: {reason}");
            true
        }
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A cgroup and a bpffs for agents, and a directory for their manifests and logs.
pub struct Site {
    pub directory: tempfile::TempDir,
    pub bpffs: Bpffs,
    pub cgroup: Cgroup,
}

/// An agent that runs. Dropping it kills it.
pub struct Agent {
    process: Process,
    log: PathBuf,
}

impl Site {
    pub fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            bpffs: Bpffs::new().unwrap(),
            cgroup: Cgroup::new().unwrap(),
        }
    }

    pub fn pins(&self) -> String {
        self.bpffs.path().join("shunt").to_str().unwrap().to_owned()
    }

    /// Writes a manifest in one step, as a good editor saves.
    pub fn save(&self, name: &str, text: &str) {
        let manifests = self.manifests();
        fs::write(manifests.join(".new"), text).unwrap();
        fs::rename(manifests.join(".new"), manifests.join(name)).unwrap();
    }

    pub fn manifests(&self) -> PathBuf {
        let path = self.directory.path().join("manifests");
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// `shunt run` on this site, with more arguments. It attaches to no device and listens nowhere unless they say so: it
    /// may run in the machine's own network namespace.
    pub fn run(&self, manifests: &Path, more: &[&str]) -> Command {
        let mut command = shunt(&["run", "--node", "lab-node", "--manifests"]);
        command.arg(manifests).arg("--cgroup").arg(self.cgroup.path());
        command.args(["--pin-path", &self.pins()]).args(more);
        if !more.contains(&"--interfaces") {
            command.args(["--interfaces", "none"]);
        }
        for server in ["--healthz-address", "--metrics-address"] {
            if !more.contains(&server) {
                command.args([server, ""]);
            }
        }
        command
    }

    /// Starts an agent and waits until it says that it is ready.
    pub fn start(&self, manifests: &Path, more: &[&str]) -> Agent {
        self.start_command(self.run(manifests, more))
    }

    /// The same with a command that [`Self::run`] has given.
    pub fn start_command(&self, command: Command) -> Agent {
        let mut agent = self.begin_command(command);
        agent.wait_for("ready: ");
        agent
    }

    /// The same without waiting.
    pub fn begin_command(&self, mut command: Command) -> Agent {
        let log = self.directory.path().join("log");
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Agent { process: Process::start(&mut command).unwrap(), log }
    }

    /// What `shunt dump -o json` prints here.
    pub fn dump(&self) -> String {
        let said = said(&["dump", "-o", "json", "--pin-path", &self.pins()]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        said.out
    }
}

impl Agent {
    pub fn id(&mut self) -> u32 {
        self.process.child().id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until a line of the log has this text; returns the line.
    pub fn wait_for(&mut self, text: &str) -> String {
        let end = Instant::now() + LIMIT;
        loop {
            let log = self.log();
            // A line that is still being written has no end.
            if let Some(line) =
                log.split_inclusive('\n').find(|line| line.contains(text) && line.ends_with('\n'))
            {
                return line.trim_end().to_owned();
            }
            let ended = self.process.child().try_wait().unwrap();
            assert!(ended.is_none(), "the agent ended, {ended:?}:\n{log}");
            assert!(Instant::now() < end, "no {text:?} in the agent's log:\n{log}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.process.child().try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it goes on:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.process.child().try_wait().unwrap().is_some()
    }

    /// Ends it by SIGTERM.
    pub fn stop(mut self) -> ExitStatus {
        signal(self.id(), rustix::process::Signal::TERM);
        self.process.child().wait().unwrap()
    }
}

pub fn signal(id: u32, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, signal).unwrap();
}
