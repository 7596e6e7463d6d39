//! Nothing of a local network stays behind, however a test ends.

use super::{SECOND, skipped, wait_until};
use shunt::lab::{
    Namespace, Program, TcpServer,
    lan::{Frames, Lan, Options, Overlay, Pod, Tunnel},
    sweep, tcp_ask,
};
use std::{
    fs,
    net::SocketAddr,
    panic::{self, AssertUnwindSafe},
    path::Path,
    process::Command,
};

/// One of each, in the order in which they are dropped.
struct Everything {
    _server: TcpServer,
    _program: Program,
    _tunnel: Tunnel,
    _frames: Frames,
    pods: Vec<Pod>,
    lan: Lan,
}

impl Everything {
    fn new() -> Self {
        let lan = Lan::new(&Options { overlay: Overlay::Vxlan, ..Options::default() }).unwrap();
        let pods = vec![lan.node(0).add_pod("pod").unwrap(), lan.node(1).add_routed_pod("routed").unwrap()];
        let address = SocketAddr::new(pods[1].ipv4().into(), 80);
        let server = TcpServer::start(&pods[1], "web", address).unwrap();
        let program = Program::start(&pods[0], Command::new("sleep").arg("60")).unwrap();
        assert_eq!(pods[0].run(|| tcp_ask(address, SECOND)).unwrap().unwrap().name, "web");
        let (tunnel, frames) = (lan.add_tunnel(0, "wg0").unwrap(), lan.add_frames().unwrap());
        Self { _server: server, _program: program, _tunnel: tunnel, _frames: frames, pods, lan }
    }

    /// Joins every namespace to another one by a link each: a link vanishes there when the kernel has ended the
    /// namespace at its other end.
    fn watch(&self, witness: &Namespace) -> Vec<String> {
        let (lan, wan) = (&self.lan, self.lan.wan());
        let mut hosts: Vec<&Namespace> = vec![lan.switch(), lan.client(), wan.router(), wan.edge()];
        hosts.extend([&**wan.client(), self._tunnel.client()]);
        hosts.extend(lan.nodes().iter().map(|node| -> &Namespace { node }));
        hosts.extend(self.pods.iter().map(|pod| -> &Namespace { pod }));
        assert_eq!(hosts.len(), 10);
        let watched = hosts.iter().enumerate().map(|(number, host)| {
            let device = format!("w{number}");
            witness.connect(&device, host, "witness").unwrap();
            device
        });
        watched.collect()
    }
}

fn everything_goes(end: impl FnOnce(Everything)) {
    let witness = Namespace::new("witness").unwrap();
    let before = fs::read_to_string("/proc/net/dev").unwrap().lines().count();
    let all = Everything::new();
    let leases = all.lan.leases().to_owned();
    assert!(leases.join("lab-1/10.244.1.2").exists(), "{}", leases.display());
    let devices = all.watch(&witness);
    end(all);
    for device in devices {
        wait_until(&device, || {
            let gone = witness.device_index(&device).map_err(|error| error.source.raw_os_error());
            gone == Err(Some(libc::ENODEV))
        });
    }
    assert!(!leases.exists(), "{}", leases.display());
    assert_eq!(fs::read_to_string("/proc/net/dev").unwrap().lines().count(), before, "devices in the root");
    assert!(!Path::new("/var/lib/cni/networks/lab-1").exists(), "leases are kept in the lab's own directory");
}

#[test]
fn nothing_stays_after_drop() {
    if !skipped() {
        everything_goes(drop);
    }
}

#[test]
fn nothing_stays_after_a_panic() {
    if skipped() {
        return;
    }
    everything_goes(|all| {
        let panic = panic::catch_unwind(AssertUnwindSafe(move || {
            let all = all; // all of it, not the field named below
            all.pods[0].run(|| panic!("a failed assertion inside")).unwrap();
        }));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"a failed assertion inside"));
    });
}

#[test]
fn the_leases_of_a_killed_process_are_swept() {
    if skipped() {
        return;
    }
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let lan = Lan::new(&Options { nodes: 1, ..Options::default() }).unwrap();
    let left = lan.leases().with_file_name(format!("shunt-lab-{}-0", ended.id()));
    fs::create_dir_all(left.join("lab-1")).unwrap();
    fs::write(left.join("lab-1/10.244.1.2"), "pod").unwrap();
    assert!(sweep().unwrap() >= 1);
    assert!(!left.exists() && lan.leases().exists(), "a living process keeps its own");
}
