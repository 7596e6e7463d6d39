//! Programs that are not attached as they should be.

use crate::{command::skipped, scene::Scene};
use aya_obj::generated::{
    BPF_F_ALLOW_MULTI,
    bpf_attach_type::{BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT},
    bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
};
use shunt::{
    kernel::{
        Cgroup,
        sys::{ForeignProgram, LinkFd},
    },
    lab,
};
use std::os::fd::AsFd as _;

#[test]
fn links_that_were_detached() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    for program in ["connect4", "sendmsg6"] {
        LinkFd::open(&scene.link(program)).unwrap().detach().unwrap();
    }
    let said = scene.diagnosis(&[]);
    said.has("programs-detached", "sendmsg6, connect4 (2)", "start the agent");
    said.has("self-test-failed", "no program pointed it at an endpoint", "shunt explain 10.96.0.");
    assert_eq!((said.code, said.found()[0]), (2, "programs-detached"), "{:#}", said.json["findings"]);
}

#[test]
fn a_program_that_was_replaced() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    let other =
        ForeignProgram::load("other", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT, 1).unwrap();
    LinkFd::open(&scene.link("connect6")).unwrap().update(other.as_fd()).unwrap();
    let said = scene.diagnosis(&[]);
    said.has("program-replaced", "connect6: link", "start the agent");
    said.has("program-replaced", "runs other (program", "start the agent");
    said.has("self-test-failed", "[fd00:10:96::", "shunt explain [fd00:10:96::");
    assert_eq!((said.code, said.found()[0]), (2, "program-replaced"));
}

#[test]
fn somebody_elses_program_before_ours() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let cgroup = Cgroup::open(scene.site.cgroup.path()).unwrap();
    let at = BPF_CGROUP_INET4_CONNECT;
    let other = ForeignProgram::load("cil_sock4_connect", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, at, 1).unwrap();
    other.attach(cgroup.as_fd(), at, BPF_F_ALLOW_MULTI).unwrap();
    let _agent = scene.start();
    let said = scene.diagnosis(&[]);
    said.has("foreign-program-before", "connect4: cil_sock4_conne (program", "bpftool cgroup tree");
    said.has("other-proxy", "Cilium's kube-proxy replacement", "kubeProxyReplacement=false");
    assert_eq!((said.code, said.found()), (1, vec!["foreign-program-before", "other-proxy"]));
    other.detach(cgroup.as_fd(), at).unwrap();
    assert_eq!(scene.diagnosis(&[]).code, 0);
}

#[test]
fn another_cgroup_than_the_one_that_is_meant() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    let (meant, served) =
        (lab::Cgroup::new().unwrap(), scene.site.cgroup.path().to_str().unwrap().to_owned());
    let meant_path = meant.path().to_str().unwrap();
    let said = scene.diagnosis(&["--cgroup", meant_path]);
    said.has("wrong-cgroup", "(11)", &format!("start the agent with --cgroup {meant_path}"));
    said.has("wrong-cgroup", "serves the cgroup with id", &format!("shunt doctor --cgroup {served}"));
    assert_eq!((said.code, said.found()[0]), (2, "wrong-cgroup"));
}

#[test]
fn a_cgroup_that_does_not_exist() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    let missing = scene.site.cgroup.path().join("no-such");
    let said = scene.diagnosis(&["--cgroup", missing.to_str().unwrap()]);
    said.has("no-such-cgroup", missing.to_str().unwrap(), "name the agent's with --cgroup");
    assert_eq!((said.code, said.severity("no-such-cgroup").as_deref()), (1, Some("unknown")));
    let page = scene.doctor(&["--cgroup", missing.to_str().unwrap()]).out;
    assert!(page.starts_with("DEGRADED: not all is as it should be, and whether"), "{page}");
}

#[test]
fn a_device_without_programs() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    scene.add_device("up1");
    let said = scene.diagnosis(&["--interfaces", "up*"]);
    said.has("device-without-programs", "no packet programs are on up1", "start the agent");
    assert_eq!((said.code, said.found()), (1, vec!["no-agent", "device-without-programs"]));
}

#[test]
fn a_device_with_programs_one_way_only() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    let index = scene.node.device_index("up0").unwrap();
    let pin = scene.link(&format!("ingress-{index}"));
    LinkFd::open(&pin).unwrap().detach().unwrap();
    let said = scene.diagnosis(&[]);
    said.has("device-programs-missing", "ingress on up0", "start the agent");
    assert_eq!((said.code, said.found()), (1, vec!["no-agent", "device-programs-missing"]));
}
