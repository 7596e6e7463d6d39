//! What must not be left behind, nor be made at all.

use aya_obj::generated::bpf_attach_type::{BPF_CGROUP_INET4_CONNECT, BPF_TCX_EGRESS, BPF_TCX_INGRESS};
use shunt::{
    kernel::sys::{Tc, devices, effective_programs, tcx_links},
    lab::{lan::Node, run},
};
use std::{
    fs::File,
    os::fd::AsFd,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// What prints the rules of a network namespace.
const PRINTERS: [&[&str]; 5] = [
    &["iptables-save"],
    &["ip6tables-save"],
    &["nft", "list", "ruleset"],
    &["ip", "rule"],
    &["ip", "-6", "rule"],
];

/// The netfilter and routing rules of a node.
#[derive(PartialEq, Eq, Debug)]
pub struct Rulesets(Vec<String>);

impl Rulesets {
    pub fn of(node: &Node) -> Self {
        let printed = PRINTERS.iter().map(|printer| {
            let [program, args @ ..] = printer else { unreachable!("a printer has a name") };
            let output = run(node, Command::new(program).args(args), Duration::from_secs(10)).unwrap();
            assert!(output.status.success(), "{program}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        });
        Self(printed.collect())
    }

    /// That there is no netfilter rule.
    pub fn assert_empty(&self, node: &Node) {
        for rules in &self.0[..3] {
            assert_eq!(rules, "", "{}: netfilter", node.name());
        }
    }

    /// That the node's rules are still these, and no netfilter ones.
    pub fn assert_same(&self, node: &Node) {
        let now = Self::of(node);
        now.assert_empty(node);
        assert_eq!(*self, now, "{}", node.name());
    }
}

/// That no program runs on any device of a node, nor in a cgroup. A link goes a moment after its last reference.
pub fn assert_no_program(node: &Node, cgroup: &Path) {
    wait_until("no program runs any more", || node.run(|| is_free(cgroup)).unwrap());
}

/// Whether no program of ours runs, seen from the node's network namespace.
fn is_free(cgroup: &Path) -> bool {
    let hooks = [BPF_TCX_INGRESS, BPF_TCX_EGRESS];
    let links = |device: u32| hooks.map(|hook| tcx_links(device, hook).unwrap_or_default());
    let cgroup = File::open(cgroup).unwrap();
    devices().unwrap().iter().all(|device| links(device.index).iter().all(Vec::is_empty))
        && Tc::open().unwrap().clsact_devices().unwrap().is_empty()
        && effective_programs(cgroup.as_fd(), BPF_CGROUP_INET4_CONNECT).unwrap().is_empty()
}

/// Waits for what is to happen soon.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
