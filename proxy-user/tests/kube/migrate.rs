//! From kube-proxy to Shunt and back, as docs/migrate.md says: what becomes of connections.

use crate::{
    agent::{ACCOUNT, Agent},
    becomes, command,
    events::told,
    kube_proxy::{KubeProxy, admit},
    pod::Pod,
    stage::Stage,
    traffic::{Answers, Traffic, answers, names},
};
use serde_json::json;
use shunt::{
    kernel::kube_proxy,
    lab::{Place, Reply, TcpSession, run},
};
use std::{
    io::ErrorKind,
    net::SocketAddr,
    ops::RangeInclusive,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long a byte may take there and back; a connection whose translation is forgotten ends sooner, or never says so.
const PATIENCE: Duration = Duration::from_secs(5);

/// The kernel is looked at every 30 seconds.
const NOTICED: Duration = Duration::from_secs(60);

/// Shunt takes none of these source ports: a connection that is silent may lose its port to a new one (docs/migrate.md).
const NOT_OURS: RangeInclusive<u16> = 32_768..=65_535;

/// Shunt takes any of these.
const OURS: RangeInclusive<u16> = 2_048..=29_000;

const ANY: RangeInclusive<u16> = 1..=65_535;

/// A connection that stays open.
struct Long {
    what: String,
    session: TcpSession,
}

impl Long {
    fn go_on(&mut self, when: &str) {
        self.session.exchange(b"still here").unwrap_or_else(|error| panic!("{}, {when}: {error}", self.what));
    }
}

/// A connection that is never silent.
struct Talk {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Talk {
    fn start(mut long: Long) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let talk = move || {
            while !until.load(Ordering::Relaxed) {
                long.go_on("though it talks all the time");
                thread::sleep(Duration::from_millis(5));
            }
        };
        Self { stop, thread: thread::spawn(talk) }
    }

    fn assert_served(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// A node, who serves it, and who asks there.
struct Side<'a> {
    proxy: KubeProxy<'a>,
    agent: Agent<'a>,
    /// From outside to its NodePorts.
    outside: Vec<(Place, SocketAddr)>,
    /// From a pod on it to ClusterIPs.
    inside: Vec<(Place, SocketAddr)>,
    _client: Pod,
}

impl<'a> Side<'a> {
    fn new(stage: &'a Stage, node: usize, mode: &'static str) -> Self {
        let proxy = KubeProxy::prepare(stage, node, mode);
        let agent = Agent::prepare(stage, node, &stage.kubeconfig(ACCOUNT));
        let client = stage.pod(node, "client", &format!("client-{node}"));
        let from =
            |place: &Place, to: Vec<SocketAddr>| to.into_iter().map(|to| (place.clone(), to)).collect();
        let outside = from(&stage.lan.client().into(), stage.node_ports("web", node));
        let inside = from(&agent.with_sockets(client.place()), stage.cluster_ips("web"));
        Self { proxy, agent, outside, inside, _client: client }
    }

    fn ways(&self) -> impl Iterator<Item = &(Place, SocketAddr)> {
        self.outside.iter().chain(&self.inside)
    }

    fn serves(&self, when: &str, wanted: &Answers) {
        for (from, to) in self.ways() {
            becomes(&format!("{to} on {}, {when}", self.agent.name), wanted, || answers(from, *to));
        }
    }

    /// A connection to each of these pods by each of these ways.
    fn open(&self, ways: &[(Place, SocketAddr)], pods: &[&str], ports: &RangeInclusive<u16>) -> Vec<Long> {
        let open = |(from, to): &(Place, SocketAddr), pod: &str| {
            let session = || TcpSession::open(*to, PATIENCE).unwrap();
            let mut sessions = std::iter::repeat_with(|| from.run(session).unwrap());
            let is_wanted = |reply: &Reply| reply.name == pod && ports.contains(&reply.seen_client.port());
            let session = sessions.find(|session| is_wanted(session.reply())).unwrap();
            Long { what: format!("{} to {to}, {pod}", self.agent.name), session }
        };
        ways.iter().flat_map(|way| pods.iter().map(move |pod| open(way, pod))).collect()
    }

    /// Rules of kube-proxy's. KUBE-FIREWALL is kubelet's too, so that no cleanup removes it.
    fn left_behind(&self) -> Answers {
        let rules = self.listed("nft", &["list", "ruleset"]);
        let of_kube_proxy =
            |line: &&str| line.to_lowercase().contains("kube") && !line.contains("KUBE-FIREWALL");
        rules.lines().filter(of_kube_proxy).map(|line| line.trim().to_owned()).collect()
    }

    /// What a tool prints on the node.
    fn listed(&self, program: &str, args: &[&str]) -> String {
        let done = run(self.agent.place(), Command::new(program).args(args), PATIENCE).unwrap();
        assert!(done.status.success(), "{program} {args:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }
}

#[test]
fn a_node_moves_from_kube_proxy_to_shunt_and_back() {
    let Some(stage) = Stage::new() else { return };
    if !admit(&stage) {
        return;
    }
    stage.serve("web", "NodePort", &json!({}));
    let [_one, _two, three] =
        [(0, "web-1"), (1, "web-2"), (1, "web-3")].map(|(node, name)| stage.pod(node, "web", name));
    three.set_ready(&stage, false);
    let mut sides = [(0, "nftables"), (1, "iptables")].map(|(node, mode)| Side::new(&stage, node, mode));
    let both = names(["web-1", "web-2"]);
    for side in &mut sides {
        // As CNI plugins have it: see "The last user of nf_conntrack" in docs/migrate.md.
        let rule = ["-A", "POSTROUTING", "-m", "mark", "--mark", "0x2000/0x2000", "-j", "MASQUERADE"];
        for tool in ["iptables-nft", "ip6tables-nft"] {
            side.listed(tool, &[&["-t", "nat"], &rule[..]].concat());
        }
        side.proxy.start();
    }
    sides.iter().for_each(|side| side.serves("by kube-proxy", &both));
    let pods = ["web-1", "web-2"];
    let mut old: Vec<_> = sides
        .iter()
        .flat_map(|side| {
            side.open(&side.outside, &pods, &NOT_OURS).into_iter().chain(side.open(
                &side.inside,
                &pods,
                &NOT_OURS,
            ))
        })
        .collect();
    let traffic: Vec<_> = sides
        .iter()
        .flat_map(Side::ways)
        .map(|(from, to)| Traffic::start("a client", from.clone(), *to))
        .collect();

    // Some are masqueraded to the very ports that Shunt is to take, towards an endpoint of another node.
    let mut talks = Vec::new();
    for (side, remote) in sides.iter_mut().zip(["web-2", "web-1"]) {
        for long in side.open(&side.outside[..1], &[remote], &OURS) {
            let port = long.session.reply().seen_client.port();
            side.agent.more = vec!["--snat-ports".to_owned(), format!("{}-{}", port - 1_024, port + 1_023)];
            talks.push(Talk::start(long));
        }
    }

    // There.
    for side in &mut sides {
        side.proxy.kill();
        side.agent.begin();
    }
    for side in &mut sides {
        side.agent.wait_until_ready();
        let found = told(&stage, "Node", &side.agent.name, "KubeProxyFound");
        assert!(found.contains(&format!("its {} mode", side.proxy.mode)), "{found}");
    }
    old.iter_mut().for_each(|long| long.go_on("with Shunt"));
    three.set_ready(&stage, true);
    let all = names(["web-1", "web-2", "web-3"]);
    sides.iter().for_each(|side| side.serves("by Shunt, beside the rules", &all));
    for side in &sides {
        let (pins, cgroup) = (side.agent.site.pins(), side.agent.site.cgroup.path().to_str().unwrap());
        let mut cleanup =
            command::shunt(&["cleanup", "--kube-proxy", "--pin-path", &pins, "--cgroup", cgroup]);
        let done = run(side.agent.place(), &mut cleanup, PATIENCE).unwrap();
        assert!(done.status.success(), "{}: {done:?}", side.proxy.mode);
        let left = side.agent.place().run(|| kube_proxy(false)).unwrap().unwrap();
        assert!(left.is_empty(), "{}: {left}", side.proxy.mode);
        assert_eq!(side.left_behind(), names([]), "{}", side.proxy.mode);
    }
    old.iter_mut().for_each(|long| long.go_on("without kube-proxy's rules"));
    sides.iter().for_each(|side| side.serves("by Shunt alone", &all));
    for side in &mut sides {
        crate::becomes_within(NOTICED, "it is noticed", &true, || {
            side.agent.process().log().contains("kube-proxy is gone from this node")
        });
    }
    talks.into_iter().for_each(Talk::assert_served);
    let counts: Vec<_> = traffic.into_iter().map(Traffic::assert_served).collect();
    let connections: u64 = counts.iter().flat_map(|count| count.answered.values()).sum();
    println!(
        "from kube-proxy to Shunt: {connections} connections, 0 failed; {} older ones went on",
        old.len()
    );
    old.iter_mut().for_each(|long| long.go_on("an agent that has seen them gone"));

    // And back.
    let mut ours: Vec<_> = sides.iter().flat_map(|side| side.open(&side.outside, &pods, &ANY)).collect();
    let mut sockets: Vec<_> = sides.iter().flat_map(|side| side.open(&side.inside, &pods, &ANY)).collect();
    for side in &mut sides {
        side.agent.kill();
        side.proxy.start();
    }
    for side in &sides {
        becomes("kube-proxy's rules", &Some(side.proxy.mode), || {
            side.agent.place().run(|| kube_proxy(false)).unwrap().unwrap().mode()
        });
    }
    ours.iter_mut()
        .chain(&mut sockets)
        .chain(&mut old)
        .for_each(|long| long.go_on("with kube-proxy's rules beside"));
    for side in &sides {
        let mut command = command::shunt(&["cleanup", "--pin-path", &side.agent.site.pins()]);
        let done = run(side.agent.place(), &mut command, PATIENCE).unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    sides.iter().for_each(|side| side.serves("by kube-proxy again", &all));
    sockets.iter_mut().for_each(|long| long.go_on("without Shunt: they are to the endpoint itself"));
    old.iter_mut().for_each(|long| long.go_on("without Shunt: they were kube-proxy's"));
    // The translation of these was Shunt's.
    for long in &mut ours {
        let ended = long.session.exchange(b"still here").map_err(|error| error.kind());
        // A reset as a rule; silence where kube-proxy translates it to an endpoint that does not know it.
        assert!(
            matches!(ended, Err(ErrorKind::ConnectionReset | ErrorKind::WouldBlock)),
            "{}: {ended:?}",
            long.what
        );
    }
    println!("and back: {} connections of sockets went on, {} of packets ended", sockets.len(), ours.len());
}
