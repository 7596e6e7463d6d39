//! `shunt run` answers load balancers that ask for a Service: real requests from another network namespace, while
//! manifests, processes and addresses change, and real connections through the Service beside them.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;
#[path = "health_check_servers/http.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod http;

use command::{Agent, Site, skipped, wait_until};
use http::{Answer, ask_by, status};
use shunt::lab::{Lab, TcpServer, tcp_ask};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    process::Command,
    time::Duration,
};

const PORT: u16 = 32_000;

struct Scene {
    site: Site,
    /// Pod 0 is an endpoint; the load balancer asks from pod 1.
    lab: Lab,
}

impl Scene {
    /// A node with the primary addresses that its Node names, and one that it does not name.
    fn new() -> Self {
        let mut lab = Lab::new(2).unwrap();
        lab.node().add_address("lo", other(), 32).unwrap();
        lab.route_via_node(Ipv4Addr::new(192, 168, 50, 0).into(), 24).unwrap();
        let site = Site::new();
        site.save(
            "node.yaml",
            &format!(
                "{{apiVersion: v1, kind: Node, metadata: {{name: lab-node}}, status: {{addresses: [\n\
                 {{type: InternalIP, address: \"{}\"}}, {{type: InternalIP, address: \"{}\"}}]}}}}\n",
                lab.node().ipv4(),
                lab.node().ipv6()
            ),
        );
        Self { site, lab }
    }

    fn start(&self, more: &[&str]) -> Agent {
        let mut command = self.site.run(&self.site.manifests(), more);
        self.lab.node().enter_command(&mut command);
        self.site.start_command(command)
    }

    fn save_service(&self, name: &str, cluster_ip: &str, port: u16) {
        let node_port = port - 1_000;
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  type: LoadBalancer\n  clusterIP: \
             {cluster_ip}\n  externalTrafficPolicy: Local\n  healthCheckNodePort: {port}\n  ports: [{{port: 80, \
             nodePort: {node_port}}}]\n"
        );
        self.site.save(&format!("{name}.yaml"), &text);
    }

    /// Pod 0 as the only endpoint of `web`, in some condition.
    fn save_endpoint(&self, conditions: &str) {
        let (v4, port) = (self.lab.pod(0).ipv4(), 8080);
        let text = format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: web-1, labels: \
             {{kubernetes.io/service-name: web}}}}\naddressType: IPv4\nports: [{{port: {port}}}]\nendpoints: \
             [{{addresses: [{v4}], nodeName: lab-node, conditions: {{{conditions}}}}}]\n"
        );
        self.site.save("web-slice.yaml", &text);
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.site.manifests().join(file)).unwrap();
    }

    /// The node's primary address.
    fn node(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.lab.node().ipv4().into(), port)
    }

    /// What the load balancer finds.
    fn status(&self, address: SocketAddr) -> Option<u16> {
        self.lab.pod(1).run(|| status(address)).unwrap()
    }

    fn ask(&self, address: SocketAddr, method: &str) -> Answer {
        self.lab.pod(1).run(|| ask_by(address, method, "/")).unwrap().unwrap()
    }

    fn wait_for(&self, address: SocketAddr, wanted: Option<u16>) {
        wait_until(&format!("{address} answers {wanted:?}"), || self.status(address) == wanted);
    }

    /// Who answers a connection through the Service's NodePort.
    fn dial(&self) -> Result<String, String> {
        let dial = || tcp_ask(self.node(PORT - 1_000), Duration::from_secs(5));
        let reply = self.site.cgroup.run_in(self.lab.node(), dial).unwrap();
        reply.map(|reply| reply.name).map_err(|error| error.to_string())
    }
}

/// An address of the node that its Node does not name.
fn other() -> IpAddr {
    Ipv4Addr::new(192, 168, 50, 1).into()
}

#[test]
fn load_balancers_are_told_the_truth_and_not_before_it_is_true() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let pod = SocketAddr::new(scene.lab.pod(0).ipv4().into(), 8080);
    let _server = TcpServer::start(scene.lab.pod(0), "pod-0", pod).unwrap();
    let agent = scene.start(&[]);
    let at = scene.node(PORT);
    assert_eq!(scene.status(at), None, "no Service, no listener");

    scene.save_service("web", "10.96.0.10", PORT);
    scene.wait_for(at, Some(503));
    assert!(scene.dial().is_err(), "nobody serves yet");
    for _ in 0..10 {
        scene.save_endpoint("ready: true");
        scene.wait_for(at, Some(200));
        // Whoever was told 200 may send connections at once.
        assert_eq!(scene.dial().as_deref(), Ok("pod-0"));
        scene.save_endpoint("ready: false, serving: true, terminating: true");
        scene.wait_for(at, Some(503));
        assert_eq!(scene.dial().as_deref(), Ok("pod-0"), "it drains: turned away from, and still serving");
    }
    scene.save_endpoint("ready: true");
    scene.wait_for(at, Some(200));

    let answer = scene.ask(at, "GET");
    let body = "{\n\t\"service\": {\n\t\t\"namespace\": \"default\",\n\t\t\"name\": \"web\"\n\t},\n\
                \t\"localEndpoints\": 1,\n\t\"serviceProxyHealthy\": true\n}";
    assert_eq!(answer.body, body);
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(answer.header("X-Load-Balancing-Endpoint-Weight"), Some("1"));
    assert_eq!(scene.ask(at, "POST"), answer);
    assert_eq!(scene.ask(at, "HEAD").head, answer.head);
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "5", "--write-out", " %{http_code} %{content_type}"]);
    scene.lab.pod(1).enter_command(curl.arg(format!("http://{at}/healthz")));
    let said = curl.output().unwrap_or_else(|error| panic!("curl: {error}; `cargo xtask test` installs it"));
    assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("{body} 200 application/json"));

    assert_eq!(scene.status(SocketAddr::new(other(), PORT)), None, "only where NodePorts answer");
    scene.save_service("web", "10.96.0.10", PORT + 1);
    scene.wait_for(scene.node(PORT + 1), Some(200));
    assert_eq!(scene.status(at), None, "it has moved");
    scene.remove("web.yaml");
    scene.wait_for(scene.node(PORT + 1), None);
    assert!(!agent.log().contains("health checks of"), "{}", agent.log());
    assert!(agent.stop().success());
}

#[test]
fn a_port_that_somebody_has_is_named_and_taken_later() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let at = scene.node(PORT);
    let process = scene.lab.node().run(|| TcpListener::bind(at)).unwrap().unwrap();
    scene.save_service("web", "10.96.0.10", PORT);
    scene.save_service("twin", "10.96.0.11", PORT + 1);
    scene.save_service("twin-too", "10.96.0.12", PORT + 1);
    let mut agent = scene.start(&[]);
    let named = agent.wait_for("health checks of default/web on port 32000 are not answered");
    assert!(
        named.contains("WARN") && named.contains("listen on 10.244.0.1: Address already in use"),
        "{named}"
    );
    agent.wait_for("default/twin has the same healthCheckNodePort");
    scene.wait_for(scene.node(PORT + 1), Some(503));
    assert!(scene.ask(scene.node(PORT + 1), "GET").body.contains("\"twin\""));
    drop(process);
    scene.wait_for(at, Some(503));
    agent.wait_for("health checks of default/web on port 32000 are answered after all");
    assert!(agent.stop().success());
}

#[test]
fn listeners_follow_the_nodes_addresses() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    scene.save_service("web", "10.96.0.10", PORT);
    let agent = scene.start(&["--nodeport-addresses", "192.168.50.0/24,fd00:50::/64"]);
    let [first, second] = [other(), Ipv4Addr::new(192, 168, 50, 2).into()];
    let at = |address| SocketAddr::new(address, PORT);
    scene.wait_for(at(first), Some(503));
    assert_eq!(scene.status(scene.node(PORT)), None);
    scene.lab.node().add_address("lo", second, 32).unwrap();
    scene.wait_for(at(second), Some(503));
    scene.lab.node().remove_address("lo", first, 32).unwrap();
    // Where no packet arrives any more, it is the socket that must be gone.
    let listens = |address: IpAddr| {
        let IpAddr::V4(address) = address else { panic!("{address}") };
        let hex = format!("{:08X}:{PORT:04X}", u32::from_ne_bytes(address.octets()));
        let sockets = scene.lab.node().run(|| std::fs::read_to_string("/proc/thread-self/net/tcp")).unwrap();
        sockets.unwrap().contains(&hex)
    };
    assert!(listens(second));
    wait_until("its listener is gone", || !listens(first));
    assert!(agent.stop().success());

    // Everywhere: each family for itself, and only where it serves the Service.
    let agent = scene.start(&["--nodeport-addresses", "all"]);
    for address in [scene.node(PORT), at(second)] {
        scene.wait_for(address, Some(503));
    }
    assert_eq!(scene.status(at(scene.lab.node().ipv6().into())), None, "the Service has no IPv6 ClusterIP");
    let text = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {type: LoadBalancer, clusterIPs: \
                [10.96.0.10, \"fd00:96::10\"], ipFamilies: [IPv4, IPv6], externalTrafficPolicy: Local, \
                healthCheckNodePort: 32000, ports: [{port: 80}]}}";
    scene.site.save("web.yaml", text);
    scene.save_endpoint("ready: true");
    scene.wait_for(scene.node(PORT), Some(200));
    scene.wait_for(at(scene.lab.node().ipv6().into()), Some(503));
    assert!(!agent.log().contains("health checks of"), "{}", agent.log());
    assert!(agent.stop().success());
}
