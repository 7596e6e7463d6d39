//! `shunt run` restores what others take away, says so in its log and metrics, and ends where another agent has its pin path.
//! Needs root; cgroup, bpffs and namespaces are the test's own.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;
#[path = "health_check_servers/http.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod http;

use command::{Agent, Site, copy_examples, said, skipped, wait_until};
use http::ask_by;
use proxy_common::abi::ABI_VERSION;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use shunt::kernel::sys::{ForeignProgram, Tc};
use shunt::lab::Namespace;
use shunt::source::filters::FilterFollower;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// An agent in a namespace of its own, which has a device, `eth0`.
struct Scene {
    site: Site,
    node: Namespace,
    _peer: Namespace,
}

impl Scene {
    fn new() -> Self {
        let [node, peer] = ["node", "peer"].map(|label| Namespace::new(label).unwrap());
        node.connect("eth0", &peer, "eth0").unwrap();
        node.add_address("eth0", "192.0.2.11".parse().unwrap(), 24).unwrap();
        let scene = Self { site: Site::new(), node, _peer: peer };
        copy_examples(&scene.site.manifests());
        scene
    }

    fn command(&self) -> Command {
        let more = ["--interfaces", "eth0", "--metrics-address", "127.0.0.1:10249"];
        let mut command = self.site.run(&self.site.manifests(), &more);
        self.node.enter_command(&mut command);
        command
    }

    fn start(&self) -> Agent {
        self.site.start_command(self.command())
    }

    fn link(&self, name: &str) -> PathBuf {
        PathBuf::from(self.site.pins()).join(format!("v{ABI_VERSION}/links/{name}"))
    }

    fn detach(&self, name: &str) {
        let detached =
            Command::new("bpftool").args(["link", "detach", "pinned"]).arg(self.link(name)).status();
        assert!(detached.expect("bpftool").success());
    }

    /// A sample of the page of metrics.
    fn sample(&self, name: &str) -> Option<f64> {
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 10_249);
        let page = self.node.run(|| ask_by(at, "GET", "/metrics")).unwrap().ok()?.body;
        page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    fn wait_for(&self, name: &str, wanted: f64) {
        wait_until(name, || self.sample(name) == Some(wanted));
    }

    fn is_effective(&self) -> bool {
        let status = [
            "status",
            "--pin-path",
            &self.site.pins(),
            "--cgroup",
            self.site.cgroup.path().to_str().unwrap(),
        ];
        self.node.run(|| said(&status).code == Some(0)).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let removed = self.node.run(|| shunt::kernel::remove(self.site.pins().as_ref()));
        if !std::thread::panicking() {
            removed.unwrap().unwrap();
        }
    }
}

#[test]
fn what_is_detached_is_restored_and_counted() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let mut agent = scene.start();
    let eth0 = scene.node.device_index("eth0").unwrap();
    wait_until("it is attached to eth0", || scene.link(&format!("ingress-{eth0}")).exists());
    scene.wait_for("shunt_attachments_restored_total{hook=\"connect4\",reason=\"detached\"}", 0.0);
    scene.detach("connect4");
    assert!(!scene.is_effective());
    agent.wait_for("restored what somebody had taken away: connect4: link ");
    assert!(scene.is_effective());
    scene.wait_for("shunt_attachments_restored_total{hook=\"connect4\",reason=\"detached\"}", 1.0);
    scene.detach(&format!("egress-{eth0}"));
    agent.wait_for("egress on eth0: its link was detached");
    assert!(scene.is_effective());
    scene.wait_for("shunt_attachments_restored_total{hook=\"egress\",reason=\"detached\"}", 1.0);

    let at = aya_obj::generated::bpf_attach_type::BPF_CGROUP_INET4_CONNECT;
    let kind = aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
    let cgroup = shunt::kernel::Cgroup::open(scene.site.cgroup.path()).unwrap();
    let theirs = ForeignProgram::load("theirs", kind, at, 1).unwrap();
    theirs.attach(cgroup.as_fd(), at, aya_obj::generated::BPF_F_ALLOW_MULTI).unwrap();
    agent.wait_for("connect4: theirs (program ");
    scene.wait_for("shunt_attachment_faults{hook=\"connect4\",reason=\"foreign_after\"}", 1.0);
    theirs.detach(cgroup.as_fd(), at).unwrap();
    agent.wait_for("no longer so: connect4: theirs (program ");
    assert_eq!(agent.log().matches("connect4: theirs (program ").count(), 2, "each is said once");
    assert!(agent.stop().success());
}

#[test]
fn an_unmounted_bpffs_is_used_again_and_another_agent_there_is_given_way_to() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let mut agent = scene.start();
    let path = scene.site.bpffs.path();
    let mount_again = || mount("bpf", path, "bpf", MountFlags::NOSUID, Some(c"mode=0700")).unwrap();
    // The first look has to have been.
    scene.wait_for("shunt_attachments_in_effect{to=\"cgroup\"}", 11.0);
    unmount(path, UnmountFlags::DETACH).unwrap();
    agent.wait_for("what is attached works on as long as this agent lives");
    mount_again();
    agent.wait_for("pins: ");
    wait_until("all is pinned again", || scene.link("connect4").exists());
    wait_until("it is in effect", || scene.is_effective());
    assert!(scene.site.dump().contains("10.96"), "it reads as before");

    unmount(path, UnmountFlags::DETACH).unwrap();
    mount_again();
    std::fs::create_dir(scene.site.pins()).unwrap();
    let mut other = Command::new("flock");
    other.args(["--no-fork", "--exclusive", &scene.site.pins(), "sleep", "60"]);
    let other = shunt::lab::Process::start(&mut other).expect("flock(1)");
    let said = agent.wait_for("in use by process");
    assert!(said.contains("(sleep)") || said.contains("(flock)"), "{said}");
    let ended = agent.ended();
    assert_eq!(ended.code(), Some(1), "{ended}");
    drop(other);
}

#[test]
fn a_filter_that_comes_or_goes_is_heard_of() {
    if skipped() {
        return;
    }
    let node = Namespace::new("node").unwrap();
    let peer = Namespace::new("peer").unwrap();
    node.connect("eth0", &peer, "eth0").unwrap();
    let eth0 = node.device_index("eth0").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut follower = node.run(FilterFollower::start).unwrap().unwrap();
    let mut is_heard = |longest| {
        let next =
            async { tokio::time::timeout(Duration::from_millis(longest), follower.next()).await.is_ok() };
        runtime.block_on(next)
    };
    assert!(!is_heard(300), "nothing has happened");
    node.run(|| Tc::open().unwrap().add_clsact(eth0).unwrap()).unwrap();
    assert!(is_heard(10_000));
    node.add_address("eth0", "192.0.2.77".parse().unwrap(), 24).unwrap();
    assert!(!is_heard(300), "addresses are of no concern");
    node.run(|| Tc::open().unwrap().remove_clsact(eth0).unwrap()).unwrap();
    assert!(is_heard(10_000));
}
