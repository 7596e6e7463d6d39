//! The laboratory itself: what is in it reaches each other and nothing else, and nothing of it stays.
//! Needs root and cgroup2; says why it did not run elsewhere, and fails instead if SHUNT_REQUIRE_LAB is set.

#![allow(clippy::unwrap_used)] // clippy.toml allows it in #[test] functions, but not in their helpers
#![cfg(feature = "lab")]

use shunt::lab::{
    self, Bpffs, Cgroup, Lab, Namespace, Place, Process, TcpServer, UdpAsker, UdpServer, tcp_ask,
    tcp_ask_many, udp_ask_connected, udp_ask_many,
};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// Leaves the test where no lab can be made.
macro_rules! need_lab {
    () => {
        if let Err(why) = lab::available() {
            assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{why}");
            eprintln!("not run: {why}");
            return;
        }
    };
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "never happened: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn both(ipv4: impl Into<IpAddr>, ipv6: impl Into<IpAddr>) -> [IpAddr; 2] {
    [ipv4.into(), ipv6.into()]
}

#[test]
fn pods_and_node_reach_each_other_and_see_the_client() {
    need_lab!();
    let mut lab = Lab::new(2).unwrap();
    lab.add_pod().unwrap();
    let hosts: Vec<(Place, [IpAddr; 2])> = lab
        .pods()
        .iter()
        .map(|pod| (pod.into(), both(pod.ipv4(), pod.ipv6())))
        .chain([(lab.node().into(), both(lab.node().ipv4(), lab.node().ipv6()))])
        .collect();
    for (to, (server_place, addresses)) in hosts.iter().enumerate() {
        for (family, ip) in addresses.iter().enumerate() {
            let name = format!("server-{to}-{family}");
            let address = SocketAddr::new(*ip, 8080);
            let tcp = TcpServer::start(server_place.clone(), &name, address).unwrap();
            let udp = UdpServer::start(server_place.clone(), &name, address).unwrap();
            for (from, (client_place, clients)) in hosts.iter().enumerate() {
                let (by_tcp, by_udp, unconnected) = client_place
                    .run(|| {
                        let asker =
                            if ip.is_ipv4() { UdpAsker::ipv4(SECOND) } else { UdpAsker::ipv6(SECOND) };
                        (
                            tcp_ask(address, SECOND).unwrap(),
                            udp_ask_connected(address, SECOND).unwrap(),
                            asker.unwrap().ask(address).unwrap(),
                        )
                    })
                    .unwrap();
                for reply in [by_tcp, by_udp] {
                    assert_eq!(reply.name, name);
                    assert_eq!(reply.peer_name, address);
                    assert_eq!(reply.seen_client, reply.local, "{from} to {to}: no address was changed");
                    if from != to {
                        assert_eq!(reply.local.ip(), clients[family]);
                    }
                }
                assert_eq!(unconnected, (name.clone(), address));
            }
            assert_eq!(tcp.served(), 4);
            assert_eq!(udp.served(), 8);
        }
    }
}

#[test]
fn no_route_leads_out() {
    need_lab!();
    let lab = Lab::new(1).unwrap();
    let alone = Namespace::new("alone").unwrap();
    for place in [Place::from(lab.pod(0)), Place::from(lab.node()), Place::from(&alone)] {
        for outside in ["192.0.2.1:80", "[2001:db8::1]:80"] {
            let address = outside.parse().unwrap();
            let error = place.run(|| tcp_ask(address, SECOND)).unwrap().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENETUNREACH), "{outside}: {error}");
            let error = place.run(|| udp_ask_connected(address, SECOND)).unwrap().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENETUNREACH), "{outside}: {error}");
        }
    }
}

#[test]
fn a_range_can_be_routed_via_the_node() {
    need_lab!();
    let mut lab = Lab::new(1).unwrap();
    let ranges = both([10, 96, 0, 0], [0xfd00, 0x10, 0x96, 0, 0, 0, 0, 0]);
    let services = both([10, 96, 0, 1], [0xfd00, 0x10, 0x96, 0, 0, 0, 0, 1]);
    for (ip, full) in services.iter().zip([32, 128]) {
        lab.node().add_address("lo", *ip, full).unwrap();
        let server = TcpServer::start(lab.node(), "node", SocketAddr::new(*ip, 80)).unwrap();
        let error = lab.pod(0).run(|| tcp_ask(server.address(), SECOND)).unwrap().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENETUNREACH));
    }
    lab.route_via_node(ranges[0], 12).unwrap();
    lab.route_via_node(ranges[1], 112).unwrap();
    lab.add_pod().unwrap();
    for ip in services {
        let server = TcpServer::start(lab.node(), "node", SocketAddr::new(ip, 80)).unwrap();
        for pod in lab.pods() {
            let reply = pod.run(|| tcp_ask(server.address(), SECOND)).unwrap().unwrap();
            assert_eq!(reply.name, "node");
        }
    }
    lab.node().remove_address("lo", services[0], 32).unwrap();
    let again = lab.node().remove_address("lo", services[0], 32).unwrap_err();
    assert_eq!(again.source.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    assert_eq!(
        again.to_string(),
        "RTM_DELADDR on node lo 10.96.0.1/32: Cannot assign requested address (os error 99)"
    );
}

#[test]
fn an_external_command_sees_the_namespace() {
    need_lab!();
    let lab = Lab::new(2).unwrap();
    let mut command = Command::new("cat");
    command.arg("/proc/self/net/dev");
    lab.pod(0).enter_command(&mut command);
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let devices: Vec<&str> =
        output.lines().skip(2).map(|line| line.split(':').next().unwrap().trim()).collect();
    assert_eq!(devices.len(), 2, "{output}");
    assert!(devices.contains(&"lo") && devices.contains(&"eth0"), "{output}");

    let server = TcpServer::start(lab.pod(1), "web", SocketAddr::new(lab.pod(1).ipv6().into(), 80)).unwrap();
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--http0.9", "--max-time", "5", &format!("http://{}/", server.address())]);
    lab.pod(0).enter_command(&mut curl);
    match curl.output() {
        Ok(output) => {
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.starts_with(&format!("web [{}]:", lab.pod(0).ipv6())), "{text} {}", output.status);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => eprintln!("curl is not installed"),
        Err(error) => panic!("{error}"),
    }
}

/// The cgroup2 path of the thread that reads `file`.
fn membership(file: &str) -> PathBuf {
    let text = fs::read_to_string(file).unwrap();
    PathBuf::from(text.lines().find_map(|line| line.strip_prefix("0::")).unwrap())
}

#[test]
fn threads_andprocesses_join_a_cgroup_and_nobody_else_does() {
    need_lab!();
    let lab = Lab::new(1).unwrap();
    let cgroup = Cgroup::new().unwrap();
    let name = cgroup.path().file_name().unwrap();
    let before = membership("/proc/thread-self/cgroup");
    let (inside, net) = cgroup
        .run_in(lab.pod(0), || {
            (membership("/proc/thread-self/cgroup"), fs::read_link("/proc/thread-self/ns/net").unwrap())
        })
        .unwrap();
    assert_eq!(inside.file_name(), Some(name));
    assert_eq!(net, PathBuf::from(format!("net:[{}]", lab.pod(0).inode().unwrap())));
    assert_eq!(membership("/proc/thread-self/cgroup"), before);
    assert_ne!(fs::read_link("/proc/thread-self/ns/net").unwrap(), net);

    let mut command = Command::new("cat");
    command.arg("/proc/self/cgroup");
    cgroup.enter_command(&mut command);
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(output.contains(name.to_str().unwrap()), "{output}");
    assert_eq!(membership("/proc/self/cgroup"), before);
}

#[test]
fn a_panic_inside_goes_on_outside() {
    need_lab!();
    let namespace = Namespace::new("panics").unwrap();
    let panic = panic::catch_unwind(AssertUnwindSafe(|| namespace.run(|| panic!("from inside"))));
    assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"from inside"));
}

#[test]
fn many_connections_are_served_by_one_thread() {
    need_lab!();
    let lab = Lab::new(2).unwrap();
    let address = SocketAddr::new(lab.pod(1).ipv4().into(), 80);
    let mut tcp = TcpServer::start(lab.pod(1), "web", address).unwrap();
    let udp = UdpServer::start(lab.pod(1), "dns", address).unwrap();
    let began = Instant::now();
    let tally = lab.pod(0).run(|| tcp_ask_many(address, 5000)).unwrap();
    eprintln!("5000 connections one after the other in {:?}", began.elapsed());
    assert_eq!((tally.answers.get("web"), tally.errors.len()), (Some(&5000), 0), "{:?}", tally.errors);
    assert_eq!(tcp.served(), 5000);
    let sockets = lab.pod(1).run(|| fs::read_to_string("/proc/thread-self/net/sockstat")).unwrap().unwrap();
    assert!(sockets.contains(" tw 0 "), "connections linger: {sockets}");
    let tally = lab.pod(0).run(|| udp_ask_many(address, 1000)).unwrap();
    assert_eq!((tally.answers.get("dns"), tally.errors.len()), (Some(&1000), 0), "{:?}", tally.errors);
    assert_eq!(udp.served(), 1000);

    tcp.stop();
    drop(udp);
    let (tcp, udp) =
        lab.pod(0).run(|| (tcp_ask(address, SECOND), udp_ask_connected(address, SECOND))).unwrap();
    assert_eq!(tcp.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(udp.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn an_echo_server_keeps_connections_and_ends_at_once() {
    need_lab!();
    let lab = Lab::new(2).unwrap();
    let address = SocketAddr::new(lab.pod(1).ipv6().into(), 7);
    let mut server = TcpServer::start_echo(lab.pod(1), "echo", address).unwrap();
    let mut stream = lab.pod(0).run(|| TcpStream::connect(address)).unwrap().unwrap();
    stream.set_read_timeout(Some(SECOND * 5)).unwrap();
    let greeting = format!("echo {}\n", stream.local_addr().unwrap());
    let mut read = vec![0; greeting.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(read, greeting.as_bytes());

    // More than both socket buffers hold, so the server has to wait with the rest.
    let sent: Vec<u8> = (0..16_u32 << 20).map(|byte| (byte / 7) as u8).collect();
    let mut back = vec![0; sent.len()];
    thread::scope(|scope| {
        let writing = scope.spawn(|| (&stream).write_all(&sent));
        thread::sleep(Duration::from_millis(200));
        (&stream).read_exact(&mut back).unwrap();
        writing.join().unwrap().unwrap();
    });
    assert!(sent == back, "what came back differs");

    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < SECOND);
    assert_eq!(stream.read(&mut read).unwrap(), 0, "the server closed");
}

/// Everything a lab can hold, one of each, and what must be gone after it.
struct Everything {
    _servers: (TcpServer, UdpServer),
    process: Process,
    bpffs: Bpffs,
    cgroup: Cgroup,
    lab: Lab,
}

impl Everything {
    fn new() -> Self {
        let lab = Lab::new(2).unwrap();
        let cgroup = Cgroup::new().unwrap();
        let address = SocketAddr::new(lab.pod(1).ipv4().into(), 80);
        let place = cgroup.at(lab.pod(1));
        let servers = (
            TcpServer::start(place.clone(), "tcp", address).unwrap(),
            UdpServer::start(place.clone(), "udp", address).unwrap(),
        );
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; wait"]).stdout(Stdio::piped());
        place.enter_command(&mut command);
        let process = Process::start(&mut command).unwrap();
        assert_eq!(cgroup.run_in(lab.pod(0), || tcp_ask(address, SECOND)).unwrap().unwrap().name, "tcp");
        Self { _servers: servers, process, bpffs: Bpffs::new().unwrap(), cgroup, lab }
    }

    /// Joins node and pods to another namespace by one link each: a link vanishes there when the kernel
    /// has ended the namespace at its other end.
    fn watch(&self, witness: &Namespace) -> Vec<String> {
        let hosts: [(&str, &Namespace); 3] =
            [("w-node", self.lab.node()), ("w-pod0", self.lab.pod(0)), ("w-pod1", self.lab.pod(1))];
        for (device, host) in hosts {
            witness.connect(device, host, "witness").unwrap();
            witness.device_index(device).unwrap();
        }
        hosts.map(|(device, _)| device.to_owned()).to_vec()
    }
}

fn is_mounted(path: &Path) -> bool {
    fs::read_to_string("/proc/self/mountinfo").unwrap().contains(path.to_str().unwrap())
}

fn everything_goes(end: impl FnOnce(Everything)) {
    let witness = Namespace::new("witness").unwrap();
    let mut all = Everything::new();
    let devices = all.watch(&witness);
    let (cgroup, bpffs) = (all.cgroup.path().to_owned(), all.bpffs.path().to_owned());
    let mut text = [0; 16];
    let count = all.process.child().stdout.as_mut().unwrap().read(&mut text).unwrap();
    let grandchild = Path::new("/proc").join(str::from_utf8(&text[..count]).unwrap().trim());
    let member = format!("{}", all.process.child().id());
    let threads = fs::read_to_string(cgroup.join("cgroup.threads")).unwrap();
    assert!(threads.lines().any(|line| line == member), "{threads}");
    assert!(is_mounted(&bpffs) && cgroup.is_dir() && grandchild.exists());
    assert_eq!(rustix::fs::statfs(&bpffs).unwrap().f_type, 0xcafe_4a11, "BPF_FS_MAGIC");

    end(all);

    assert!(!cgroup.exists(), "{}", cgroup.display());
    assert!(!is_mounted(&bpffs) && !bpffs.exists(), "{}", bpffs.display());
    wait_until("the grandchild ended", || !grandchild.exists());
    for device in devices {
        wait_until(&device, || {
            let gone = witness.device_index(&device).map_err(|error| error.source.raw_os_error());
            gone == Err(Some(libc::ENODEV))
        });
    }
}

#[test]
fn nothing_stays_after_drop() {
    need_lab!();
    everything_goes(drop);
}

#[test]
fn nothing_stays_after_a_panic() {
    need_lab!();
    everything_goes(|all| {
        let panic = panic::catch_unwind(AssertUnwindSafe(move || {
            let all = all; // all of it, not the two fields named below
            let node = all.lab.node();
            all.cgroup.run_in(node, || panic!("a failed assertion inside")).unwrap();
        }));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"a failed assertion inside"));
    });
}

#[test]
fn what_a_killedprocess_left_is_swept() {
    need_lab!();
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let cgroup = Cgroup::new().unwrap();
    let bpffs = Bpffs::new().unwrap();
    let orphan = format!("shunt-lab-{}-0", ended.id());
    let left = [cgroup.path().with_file_name(&orphan), bpffs.path().with_file_name(&orphan)];
    for path in &left {
        fs::create_dir(path).unwrap();
    }
    let flags = rustix::mount::MountFlags::NOEXEC;
    rustix::mount::mount("bpf", &left[1], "bpf", flags, None).unwrap();
    fs::create_dir(left[1].join("pins")).unwrap();

    assert!(lab::sweep().unwrap() >= 2);

    for path in &left {
        assert!(!path.exists() && !is_mounted(path), "{}", path.display());
    }
    assert!(cgroup.path().is_dir() && is_mounted(bpffs.path()), "a living process keeps its own");
}
