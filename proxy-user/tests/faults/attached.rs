//! What is attached is taken away, or somebody else's programs come to it.

use crate::{cluster, load::Client, stage::Stage, wait_until};
use aya_obj::generated::{bpf_attach_type::*, bpf_prog_type::*};
use shunt::{
    kernel::{
        PROGRAMS,
        sys::{ForeignProgram, LinkFd},
    },
    lab::{Namespace, Place, lan::Node},
};
use std::{fs::File, net::IpAddr, os::fd::AsFd, process::Command};

/// Detaches what is pinned below a directory of links whose name begins so.
fn detach(stage: &Stage, is_it: impl Fn(&str) -> bool) {
    let links = stage.pinned().into_iter().filter(|pin| pin.parent().unwrap().ends_with("links"));
    let mut detached = 0;
    for pin in links.filter(|pin| is_it(pin.file_name().unwrap().to_str().unwrap())) {
        let mut command = Command::new("bpftool");
        command.args(["link", "detach", "pinned"]).arg(&pin);
        stage.node().enter_command(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}: {}", pin.display(), String::from_utf8_lossy(&output.stderr));
        detached += 1;
    }
    assert!(detached > 0, "no link is pinned: {:?}", stage.pinned());
}

fn is_of_sockets(pin: &str) -> bool {
    PROGRAMS.iter().any(|(name, _)| *name == pin)
}

#[test]
fn links_of_the_cgroup_are_detached() {
    let Some(mut stage) = Stage::with_agent() else { return };
    // Who is connected needs no program.
    let clients = [Client { severed: true, ..stage.inside() }, stage.outside()];
    let wanted = stage.attached();
    let injected = "`bpftool link detach` of every link to the cgroup";
    stage.suffer_with(&clients, "socket links detached", injected, |stage, outcome| {
        outcome.gap(|_| {
            detach(stage, is_of_sockets);
            wait_until("everything is attached again", || stage.attached() == wanted);
        });
        stage.change();
    });
}

#[test]
fn links_of_devices_are_detached() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let clients = [stage.inside(), Client { severed: true, breaks: true, ..stage.outside() }];
    let wanted = stage.attached();
    let injected = "`bpftool link detach` of every link to a device";
    stage.suffer_with(&clients, "packet links detached", injected, |stage, outcome| {
        outcome.gap(|_| {
            detach(stage, |pin| !is_of_sockets(pin));
            wait_until("everything is attached again", || stage.attached() == wanted);
        });
        stage.change();
    });
}

#[test]
fn the_cgroup_is_removed_and_made_again() {
    let Some(mut stage) = Stage::with_agent() else { return };
    const INSIDE: usize = 0;
    let clients = [Client { reopens: false, ..stage.inside() }, stage.outside()];
    let wanted = stage.attached();
    let injected = "processes leave the cgroup, rmdir, mkdir of the same path; processes come once programs are attached";
    stage.suffer_with(&clients, "cgroup removed and made again", injected, |stage, outcome| {
        outcome.load().stop_connecting(INSIDE);
        outcome.gap(|outcome| {
            stage.site.cgroup.make_again().unwrap();
            outcome.serve();
            wait_until("everything is attached again", || stage.attached() == wanted);
        });
        let inside = Client { reopens: false, ..stage.inside() };
        outcome.load().connect_again(INSIDE, &inside);
        stage.change();
    });
}

/// A device of the node, and addresses of the node and of the host behind it.
const DEVICE: &str = "lan7";
const AT: [[&str; 2]; 2] = [["198.18.7.11", "198.18.7.100"], ["2001:db8:18:7::11", "2001:db8:18:7::100"]];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Makes the device, by which the host reaches the node's own addresses: NodePorts are there.
fn plug(node: &Node, host: &Namespace) {
    node.connect(DEVICE, host, "eth0").unwrap();
    for ([node_ip, host_ip], prefix) in AT.map(|ips| ips.map(ip)).into_iter().zip([24, 64]) {
        node.add_address(DEVICE, node_ip, prefix).unwrap();
        host.add_address("eth0", host_ip, prefix).unwrap();
        let length = if node_ip.is_ipv4() { 32 } else { 128 };
        host.add_route(node.ip_like(node_ip), length, Some(node_ip), "eth0").unwrap();
    }
}

/// A client behind it.
fn behind(host: &Namespace, node: &Node) -> Client {
    Client {
        place: Place::from(host),
        web: cluster::node_ports(0, node),
        sticky: cluster::node_ports(1, node),
        own: Vec::new(),
        severed: true,
        breaks: true,
        reopens: false,
    }
}

#[test]
fn a_device_is_deleted_and_made_again() {
    let Some(mut stage) = Stage::new() else { return };
    let host = Namespace::new("behind").unwrap();
    plug(stage.node(), &host);
    stage.start();
    let attached = format!("ingress of {DEVICE}");
    wait_until("the device is attached to", || stage.attached().get(&attached) == Some(&1));
    let clients = [stage.inside(), stage.outside(), behind(&host, stage.node())];
    let wanted = stage.attached();
    let injected =
        "a veth of the node is deleted while a client connects through it, and made again with its addresses";
    stage.suffer_with(&clients, "device deleted and made again", injected, |stage, outcome| {
        outcome.gap(|outcome| {
            stage.node().remove_device(DEVICE).unwrap();
            outcome.serve();
            plug(stage.node(), &host);
            wait_until("it is attached to again", || stage.attached() == wanted);
        });
        stage.change();
    });
}

#[test]
fn programs_of_others_are_attached() {
    let Some(mut stage) = Stage::with_agent() else { return };
    let cgroup = File::open(stage.site.cgroup.path()).unwrap();
    let device = stage.node().device_index("eth0").unwrap();
    let injected = "a sock_addr program that lets pass is attached to the cgroup (BPF_F_ALLOW_MULTI), and a tcx program \
                    to the device, before Shunt's; later both are taken away";
    stage.suffer("foreign program attached", injected, |stage, outcome| {
        let connect = BPF_CGROUP_INET4_CONNECT;
        let socket =
            ForeignProgram::load("other_connect", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, connect, 1).unwrap();
        // TCX_NEXT: the next program decides.
        let packet = ForeignProgram::load("other_tc", BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_INGRESS, -1).unwrap();
        socket.attach(cgroup.as_fd(), connect, BPF_F_ALLOW_MULTI).unwrap();
        let link = || LinkFd::create_tcx(packet.as_fd(), device, BPF_TCX_INGRESS).unwrap();
        let link = stage.node().run(link).unwrap();
        outcome.serve();
        stage.agent().wait_for("other_connect");
        stage.agent().wait_for("other_tc");
        stage.change();
        stage.kill();
        stage.start();
        stage.change();
        socket.detach(cgroup.as_fd(), connect).unwrap();
        drop(link);
    });
}

/// linux/bpf.h.
const BPF_F_ALLOW_MULTI: u32 = 2;
