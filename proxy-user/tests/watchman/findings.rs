//! What the watchman finds out about a node without changing it: `shunt doctor` prints the same. Needs root; see
//! `kernel_lab` for what it touches.

use crate::kernel_lab::Lab;
use aya_obj::generated::bpf_attach_type::{
    BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET4_GETPEERNAME, BPF_TCX_EGRESS, BPF_TCX_INGRESS, BPF_XDP,
};
use aya_obj::generated::bpf_prog_type::{
    BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP,
};
use aya_obj::generated::{BPF_F_ALLOW_MULTI, BPF_F_ALLOW_OVERRIDE};
use proxy_common::abi::DeviceEntry;
use shunt::kernel::sys::{Access, ForeignProgram, LinkFd, MapFd, Tc, TcHook};
use shunt::kernel::watchman::{Fault, Finding, Severity, findings};
use shunt::kernel::{Cgroup, Kernel, Options, PROGRAMS};
use shunt::lab::Namespace;
use std::fs;
use std::os::fd::AsFd as _;
use std::process::Command;

fn found(lab: &Lab) -> Vec<Finding> {
    findings(&lab.pin_path(), lab.cgroup())
}

/// The faults at each hook, and that nothing else was found.
#[track_caller]
fn assert_found(lab: &Lab, wanted: &[(&str, Fault, &[&str])]) {
    let found = found(lab);
    let (is, should) = (found.iter().map(|f| (f.hook.name, f.fault)), wanted.iter().map(|w| (w.0, w.1)));
    assert!(is.eq(should), "{found:#?}");
    for (finding, (_, _, words)) in found.iter().zip(wanted) {
        assert!(words.iter().all(|word| finding.text.contains(word)), "{finding} lacks one of {words:?}");
    }
}

fn links(lab: &Lab) -> std::path::PathBuf {
    lab.pin_path().join(format!("v{}/links", proxy_common::abi::ABI_VERSION))
}

#[test]
fn a_node_that_balances_has_none_and_one_without_shunt_has_all() {
    let Some(lab) = Lab::new() else { return };
    let before = found(&lab);
    let missing = before.iter().filter(|finding| finding.fault == Fault::Missing).count();
    assert_eq!(missing, PROGRAMS.len(), "{before:#?}");
    assert!(before.iter().any(|finding| (finding.hook.name, finding.fault) == ("SLOTS", Fault::Unpinned)));
    assert!(!lab.pin_path().exists(), "looking makes nothing");

    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_found(&lab, &[]);
    drop(kernel);
    assert_found(&lab, &[]);
    let elsewhere = findings(&std::env::temp_dir(), lab.cgroup());
    assert_eq!(elsewhere.len(), 1);
    assert_eq!((elsewhere[0].fault, elsewhere[0].severity), (Fault::Unmounted, Severity::Broken));
}

#[test]
fn what_was_detached_replaced_or_unpinned_is_named() {
    let Some(mut lab) = Lab::new() else { return };
    lab.open().attach().unwrap();
    let pin = |name: &str| links(&lab).join(name);
    let detach = Command::new("bpftool").args(["link", "detach", "pinned"]).arg(pin("connect4")).status();
    assert!(detach.expect("bpftool").success());
    fs::remove_file(pin("sendmsg6")).unwrap();
    let (kind, at) = (BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME);
    let other = ForeignProgram::load("other", kind, at, 1).unwrap();
    LinkFd::open(&pin("getpeername4")).unwrap().update(other.as_fd()).unwrap();
    let maps = lab.pin_path().join(format!("v{}/maps", proxy_common::abi::ABI_VERSION));
    fs::remove_file(maps.join("NODE")).unwrap();
    fs::rename(maps.join("SLOTS"), maps.join("BACKENDS")).unwrap();
    assert_found(
        &lab,
        &[
            ("SLOTS", Fault::Unpinned, &["SLOTS"]),
            ("BACKENDS", Fault::ForeignPin, &["value 8 bytes", "value 32 bytes"]),
            ("NODE", Fault::Unpinned, &["NODE"]),
            ("getpeername4", Fault::Replaced, &["other (program"]),
            ("sendmsg6", Fault::Missing, &[]),
            ("connect4", Fault::Detached, &["was detached"]),
        ],
    );
    assert!(MapFd::open(&maps.join("BACKENDS"), Access::Read).is_ok(), "looking changes nothing");
    lab.new_cgroup();
    let elsewhere = found(&lab).iter().filter(|finding| finding.fault == Fault::Elsewhere).count();
    assert_eq!(elsewhere, PROGRAMS.len() - 2);
}

#[test]
fn a_foreign_program_at_a_socket_hook_is_named_by_where_it_stands() {
    let Some(lab) = Lab::new() else { return };
    let cgroup = Cgroup::open(lab.cgroup()).unwrap();
    let at = BPF_CGROUP_INET4_CONNECT;
    let load = |name| ForeignProgram::load(name, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at, 1).unwrap();
    let (first, last) = (load("cil_sock4_connect"), load("other"));
    first.attach(cgroup.as_fd(), at, BPF_F_ALLOW_MULTI).unwrap();
    lab.open().attach().unwrap();
    last.attach(cgroup.as_fd(), at, BPF_F_ALLOW_MULTI).unwrap();
    assert_found(
        &lab,
        &[
            ("connect4", Fault::ForeignBefore, &["cil_sock4_conne (program ", "tag "]),
            ("connect4", Fault::ForeignAfter, &["other (program "]),
        ],
    );
    for program in [first, last] {
        program.detach(cgroup.as_fd(), at).unwrap();
    }
    assert_found(&lab, &[]);
}

#[test]
fn who_keeps_ours_from_being_attached_is_named() {
    let Some(lab) = Lab::new() else { return };
    let cgroup = Cgroup::open(lab.cgroup()).unwrap();
    let at = BPF_CGROUP_INET4_CONNECT;
    let blocker = ForeignProgram::load("blocker", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at, 1).unwrap();
    for (flags, how) in [(0, "without flags"), (BPF_F_ALLOW_OVERRIDE, "with BPF_F_ALLOW_OVERRIDE")] {
        blocker.attach(cgroup.as_fd(), at, flags).unwrap();
        let error = lab.open().attach().unwrap_err();
        assert!(error.to_string().contains("connect4"), "{error}");
        let found = found(&lab);
        let blocked = found.iter().find(|finding| finding.fault == Fault::Blocked).expect("a finding");
        assert!(blocked.text.contains("blocker (program") && blocked.text.contains(how), "{blocked}");
        assert_eq!((blocked.hook.name, blocked.severity), ("connect4", Severity::Broken));
        blocker.detach(cgroup.as_fd(), at).unwrap();
    }
    // One that stands above, and may not be overridden.
    blocker.attach(cgroup.as_fd(), at, 0).unwrap();
    let child = lab.cgroup().join("child");
    fs::create_dir(&child).unwrap();
    let below = findings(&lab.pin_path(), &child);
    blocker.detach(cgroup.as_fd(), at).unwrap();
    fs::remove_dir(child).unwrap();
    let blocked = below.iter().find(|finding| finding.fault == Fault::Blocked).expect("a finding");
    assert!(blocked.text.contains("a cgroup above"), "{blocked}");
    lab.open().attach().unwrap();
    assert_found(&lab, &[]);
}

#[test]
fn who_sees_the_packets_of_a_device_first_is_named() {
    let Some(lab) = Lab::new() else { return };
    let [node, peer] = ["node", "peer"].map(|label| Namespace::new(label).expect("a namespace"));
    node.connect("eth0", &peer, "eth0").expect("a device");
    let device = node.device_index("eth0").expect("an index");
    let foreign = |name, kind, at, verdict| ForeignProgram::load(name, kind, at, verdict).unwrap();
    for clsact in [false, true] {
        let mut kernel = Kernel::open(&Options { clsact, ..lab.options() }).unwrap();
        kernel.attach().unwrap();
        node.run(|| {
            let first = foreign("first", BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_INGRESS, -1);
            if clsact {
                Tc::open().unwrap().add_clsact(device).unwrap();
                let at = (1, 1);
                Tc::open().unwrap().put_filter(device, TcHook::Ingress, at, "theirs", first.as_fd()).unwrap();
            }
            kernel.packets().attach(device, &DeviceEntry::default()).unwrap();
            let tcx = (!clsact).then(|| LinkFd::create_tcx(first.as_fd(), device, BPF_TCX_INGRESS).unwrap());
            let egress = foreign("out", BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_EGRESS, -1);
            let out = LinkFd::create_tcx(egress.as_fd(), device, BPF_TCX_EGRESS).unwrap();
            let who = if clsact { "theirs (first (program" } else { "first (program" };
            let before = |program: &'static str| (program, Fault::ForeignBefore);
            let (egress, ingress) = (before("egress"), before("ingress"));
            assert_found(&lab, &[(egress.0, egress.1, &["out ("]), (ingress.0, ingress.1, &[who])]);
            // The kernel lets go of a link that is merely closed some time later.
            tcx.iter().chain([&out]).for_each(|link| link.detach().unwrap());
            if clsact {
                Tc::open().unwrap().remove_filter(device, TcHook::Ingress, (1, 1)).unwrap();
            }
            let (xdp, pin) = (foreign("xdp", BPF_PROG_TYPE_XDP, BPF_XDP, 2), lab.bpffs.path().join("xdp"));
            xdp.pin(&pin).unwrap();
            let mut attach = Command::new("bpftool");
            attach.args(["net", "attach", "xdpgeneric", "pinned"]).arg(&pin).args(["dev", "eth0"]);
            assert!(attach.status().expect("bpftool").success());
            fs::remove_file(pin).unwrap();
            assert_found(&lab, &[("ingress", Fault::Xdp, &["xdp (program", "by XDP"])]);
            let mut detach = Command::new("bpftool");
            detach.args(["net", "detach", "xdpgeneric", "dev", "eth0"]);
            assert!(detach.status().expect("bpftool").success());
            kernel.packets().detach(device).unwrap();
            Tc::open().unwrap().remove_clsact(device).ok();
            assert_found(&lab, &[]);
        })
        .expect("a namespace");
    }
}
