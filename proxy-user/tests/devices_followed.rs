//! `shunt run` keeps the packet programs on the node's devices while these come, go and change. Needs root; every
//! device is in a network namespace that the test made.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;

use command::{Agent, Said, Site, skipped, wait_until};
use proxy_common::abi::{ABI_VERSION, Address, DeviceFlags};
use shunt::kernel::{DeviceAttachment, Kernel};
use shunt::lab::{Namespace, lan};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

/// A node with a device `eth0` that has addresses and a default route, and an agent on it.
struct Scene {
    node: Namespace,
    peer: Namespace,
    site: Site,
}

impl Scene {
    fn new() -> Self {
        let [node, peer] = ["node", "peer"].map(|label| Namespace::new(label).unwrap());
        node.connect("eth0", &peer, "eth0").unwrap();
        node.add_address("eth0", ip("192.0.2.11"), 24).unwrap();
        node.add_address("eth0", ip("2001:db8::11"), 64).unwrap();
        Self { node, peer, site: Site::new() }
    }

    fn run(&self, more: &[&str]) -> Command {
        let mut command = command::shunt(&["run", "--node", "lab-node", "--manifests"]);
        command.arg(self.site.manifests()).arg("--cgroup").arg(self.site.cgroup.path());
        command.args(["--pin-path", &self.site.pins()]).args(more);
        self.node.enter_command(&mut command);
        command
    }

    fn start(&self, more: &[&str]) -> Agent {
        self.site.start_command(self.run(more))
    }

    /// What is there of the packet path, by name of the device.
    fn attached(&self) -> Vec<(String, DeviceAttachment)> {
        let Ok(maps) = Kernel::read_only(Path::new(&self.site.pins())) else { return Vec::new() };
        let devices = || (maps.attached_devices().unwrap(), shunt::kernel::sys::devices().unwrap());
        let (attached, devices) = self.node.run(devices).unwrap();
        let name =
            |index| devices.iter().find(|device| device.index == index).map(|device| device.name.clone());
        attached
            .into_iter()
            .map(|attachment| (name(attachment.device).unwrap_or_default(), attachment))
            .collect()
    }

    fn names(&self) -> Vec<String> {
        let attached = self.attached().into_iter();
        let mut names: Vec<_> = attached
            .map(|(name, attachment)| if attachment.is_effective() { name } else { format!("{name}?") })
            .collect();
        names.sort();
        names
    }

    fn wait_for(&self, wanted: &[&str]) {
        wait_until(&format!("attached to {wanted:?}"), || self.names() == wanted);
    }

    fn wait_for_entry(&self, name: &str, what: &str, fits: impl Fn(&DeviceAttachment) -> bool) {
        wait_until(what, || self.attached().iter().any(|(of, attachment)| of == name && fits(attachment)));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let removed = self.node.run(|| shunt::kernel::remove(Path::new(&self.site.pins())));
        if !std::thread::panicking() {
            removed.unwrap().unwrap();
            assert_eq!(self.attached(), []);
        }
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn devices_are_attached_to_as_they_come_and_let_go_as_they_go() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let agent = scene.start(&[]);
    scene.wait_for(&["eth0"]);

    // The host's end of a pod's link has no address; a bridge of pods has.
    scene.node.connect("veth1", &scene.peer, "eth1").unwrap();
    scene.node.add_bridge("cni0").unwrap();
    scene.node.add_address("cni0", ip("10.244.1.1"), 24).unwrap();
    scene.wait_for(&["cni0", "eth0"]);
    scene.node.remove_device("cni0").unwrap();
    scene.wait_for(&["eth0"]);

    // An address comes and goes, and with it the reason to attach; so does a default route.
    scene.node.add_address("veth1", ip("198.51.100.1"), 24).unwrap();
    scene.wait_for(&["eth0", "veth1"]);
    scene.node.remove_address("veth1", ip("198.51.100.1"), 24).unwrap();
    scene.wait_for(&["eth0"]);
    scene.node.add_route(ip("::"), 0, None, "veth1").unwrap();
    scene.wait_for(&["eth0", "veth1"]);
    scene.node.remove_device("veth1").unwrap();
    scene.wait_for(&["eth0"]);

    // One of the same name follows, without the agent too.
    scene.node.remove_device("eth0").unwrap();
    scene.wait_for(&[]);
    scene.node.connect("eth0", &scene.peer, "eth0").unwrap();
    scene.node.add_address("eth0", ip("192.0.2.11"), 24).unwrap();
    scene.wait_for(&["eth0"]);
    assert_eq!(agent.stop().code(), Some(0));
    scene.wait_for(&["eth0"]);
    scene.node.remove_device("eth0").unwrap();
    scene.wait_for(&["?"]);
    scene.node.connect("eth0", &scene.peer, "eth0").unwrap();
    scene.node.add_address("eth0", ip("192.0.2.11"), 24).unwrap();
    let agent = scene.start(&[]);
    scene.wait_for(&["eth0"]);
    assert_eq!(agent.stop().code(), Some(0));

    // The packet path is switched off.
    let agent = scene.start(&["--interfaces", "none"]);
    scene.wait_for(&[]);
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn what_changes_about_a_device_is_told_to_the_programs() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let agent = scene.start(&["--pod-interfaces", "pods*"]);
    scene.wait_for(&["eth0"]);
    let [(_, first)] = &scene.attached()[..] else { panic!("one device") };
    let (mut first, entry) = (*first, first.entry.unwrap());
    let address4 = |text: &str| Address::from(ip(text)).v4_word().unwrap();
    assert_eq!((entry.address4, entry.address6), (address4("192.0.2.11"), ip("2001:db8::11").into()));
    assert_eq!((entry.mtu, entry.flags), (1500, DeviceFlags::default()));
    assert_eq!(entry.mac.map(u16::to_ne_bytes).concat(), scene.node.mac("eth0").unwrap());

    scene.node.set_mtu("eth0", 1400).unwrap();
    scene.wait_for_entry("eth0", "the MTU", |eth0| eth0.entry.is_some_and(|entry| entry.mtu == 1400));
    scene.node.set_mac("eth0", [2, 0, 0, 0, 0, 7]).unwrap();
    let mac = [2_u8, 0, 0, 0, 0, 7];
    scene.wait_for_entry("eth0", "the MAC", |eth0| {
        eth0.entry.is_some_and(|entry| entry.mac.map(u16::to_ne_bytes).concat() == mac)
    });
    scene.node.remove_address("eth0", ip("192.0.2.11"), 24).unwrap();
    scene.node.add_address("eth0", ip("192.0.2.12"), 24).unwrap();
    let wanted = address4("192.0.2.12");
    scene.wait_for_entry("eth0", "the address", |eth0| {
        eth0.entry.is_some_and(|entry| entry.address4 == wanted)
    });
    let (_, now) = scene.attached()[0];
    first.entry = now.entry;
    assert_eq!(now, first, "nothing was attached anew");

    // A device of pods lends the node's address: the one that the Node names, if it is here.
    scene.node.connect("pods1", &scene.peer, "eth1").unwrap();
    scene.wait_for(&["eth0", "pods1"]);
    let is_pods = |pods: &DeviceAttachment| pods.entry.unwrap().flags == DeviceFlags::PODS;
    scene
        .wait_for_entry("pods1", "its entry", |pods| is_pods(pods) && pods.entry.unwrap().address4 == wanted);
    scene.node.add_address("eth0", ip("192.0.2.13"), 24).unwrap();
    scene.site.save(
        "node.yaml",
        "{apiVersion: v1, kind: Node, metadata: {name: lab-node}, status: {addresses: [{type: InternalIP, address: \
         192.0.2.13}]}}\n",
    );
    let named = address4("192.0.2.13");
    scene.wait_for_entry("pods1", "the Node's address", |pods| pods.entry.unwrap().address4 == named);
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn status_shows_the_devices_and_fails_where_programs_are_missing() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let agent = scene.start(&["--masquerade", "always", "--snat-ports", "61000-65000", "--bind-protection"]);
    scene.wait_for(&["eth0"]);
    let status = |more: &[&str]| {
        let cgroup = scene.site.cgroup.path().to_str().unwrap();
        let mut command = command::shunt(&["status", "--pin-path", &scene.site.pins(), "--cgroup", cgroup]);
        scene.node.enter_command(command.args(more));
        Said::from(command.output().unwrap())
    };
    let table = status(&[]);
    let line = table.out.lines().find(|line| line.starts_with("eth0 ")).unwrap();
    assert!(line.ends_with("in effect") && !line.contains("NOT"), "{line}");
    assert!(
        table.out.contains("masquerade always, source ports 61000-65000, bind protection on"),
        "{}",
        table.out
    );
    assert_eq!((table.code, table.err.as_str()), (Some(0), ""));
    let json: serde_json::Value = serde_json::from_str(&status(&["-o", "json"]).out).unwrap();
    let (_, eth0) = scene.attached()[0];
    assert_eq!(json["devices"][0]["device"], "eth0");
    assert_eq!(json["devices"][0]["ingress"], eth0.ingress.unwrap());
    assert_eq!(json["devices"][0]["addresses"], serde_json::json!(["192.0.2.11", "2001:db8::11"]));
    assert_eq!(json["packets"]["source_ports"], serde_json::json!([61_000, 65_000]));
    let used = |map: &str| {
        let maps = json["maps"].as_array().unwrap();
        maps.iter().find(|row| row["map"] == map).unwrap()["used"].clone()
    };
    assert_eq!((used("DEVICES"), used("FLOWS")), (1.into(), 0.into()));

    // Somebody takes one of the programs away.
    assert_eq!(agent.stop().code(), Some(0));
    let links = Path::new(&scene.site.pins()).join(format!("v{ABI_VERSION}/links"));
    let pin = links.join(format!("egress-{}", eth0.device));
    if let Ok(link) = shunt::kernel::sys::LinkFd::open(&pin) {
        link.detach().unwrap();
        let broken = status(&[]);
        assert!(broken.code == Some(1) && broken.out.contains("NOT IN EFFECT"), "{}", broken.out);
    }
}

#[test]
fn what_the_node_lacks_for_packets_is_said() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    scene.node.set_sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
    let mut agent = scene.start(&[]);
    scene.wait_for(&["eth0"]);
    let line = agent.wait_for("does not forward");
    assert!(line.contains("eth0 does not forward ipv4") && line.contains("net.ipv4.ip_forward=1"), "{line}");
    scene.node.set_mtu("eth0", 1400).unwrap();
    scene.wait_for_entry("eth0", "the MTU", |eth0| eth0.entry.is_some_and(|entry| entry.mtu == 1400));
    assert_eq!(agent.log().matches("does not forward").count(), 1, "once: {}", agent.log());
    let ports = Kernel::read_only(Path::new(&scene.site.pins())).unwrap().packet_settings();
    assert_eq!((ports.first_port, ports.ports), (1_024, 28_976), "below NodePorts and ephemeral ports");
    assert_eq!(agent.stop().code(), Some(0));
    let mut agent = scene.start(&["--interfaces", "wlan*"]);
    agent.wait_for("no device is chosen");
    assert!(agent.log().contains("detached from eth0"), "by its name: {}", agent.log());
    assert_eq!(agent.stop().code(), Some(0));

    scene.node.set_sysctl("net/ipv4/ip_local_port_range", "1024 65535").unwrap();
    let mut agent = scene.start(&[]);
    agent.wait_for("net.ipv4.ip_local_port_range (1024-65535)");
    agent.wait_for("--snat-ports");
    assert_eq!(agent.stop().code(), Some(0));
    // Nobody needs ports where nothing is attached to.
    let agent = scene.start(&["--interfaces", "none"]);
    scene.wait_for(&[]);
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn tunnels_are_attached_to_and_those_without_a_link_header_are_known() {
    if skipped() {
        return;
    }
    let lan = lan::Lan::new(&lan::Options { overlay: lan::Overlay::Vxlan, ..lan::Options::default() });
    let lan = match lan {
        Err(error) if error.is_unsupported() => return eprintln!("skipped: {error}"),
        lan => lan.unwrap(),
    };
    let tunnel = lan.add_tunnel(0, "tun7").unwrap();
    let devices = lan.node(0).run(|| shunt::kernel::sys::devices().unwrap()).unwrap();
    let chosen = shunt::select::select_devices(&devices, &Default::default(), &[]);
    let found: Vec<_> = chosen.iter().map(|device| (device.name.as_str(), device.entry.flags)).collect();
    let plain = DeviceFlags::default();
    assert_eq!(found, [("eth0", plain), ("flannel.1", plain), (tunnel.device(), DeviceFlags::HEADERLESS)]);
    let eth0 = devices.iter().find(|device| device.name == "eth0").unwrap();
    assert!(eth0.default_route && eth0.up && eth0.addresses.contains(&lan.node(0).ipv4().into()), "{eth0:?}");
    assert_eq!(devices.iter().find(|device| device.name == "flannel.1").unwrap().kind, "vxlan");
}
