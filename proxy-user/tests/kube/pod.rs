//! Pods, with the test in the place of their kubelet.

use crate::stage::{Stage, TARGET};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};
use shunt::lab::{Place, TcpServer, UdpServer, lan};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A pod that answers with its name over TCP and UDP, IPv4 and IPv6, and sends back what it is sent; and its object.
/// Dropping it ends its servers, not its object.
pub struct Pod {
    name: String,
    _servers: (Vec<TcpServer>, Vec<UdpServer>),
    pod: lan::Pod,
}

impl Pod {
    /// Makes a pod that listens, and its object, which nobody has said anything about yet.
    pub fn create(stage: &Stage, node: usize, app: &str, name: &str) -> Self {
        let pod = stage.lan.node(node).add_pod(name).unwrap();
        let ips: [IpAddr; 2] = [pod.ipv4().into(), pod.ipv6().into()];
        let at = ips.map(|ip| SocketAddr::new(ip, TARGET));
        let tcp = at.map(|at| TcpServer::start_echo(&pod, name, at).unwrap());
        let udp = at.map(|at| UdpServer::start_echo(&pod, name, at).unwrap());
        let object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "labels": { "app": app } },
            "spec": {
                "nodeName": stage.lan.node(node).name(),
                "containers": [{ "name": "main", "image": "lab" }],
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 600,
            },
        });
        stage.kubectl().apply(&object);
        Self { name: name.to_owned(), _servers: (tcp.into(), udp.into()), pod }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn ipv4(&self) -> Ipv4Addr {
        self.pod.ipv4()
    }

    /// Where clients in it are.
    pub fn place(&self) -> Place {
        (&self.pod).into()
    }

    /// Tells the cluster of its addresses and whether it is ready.
    pub fn set_ready(&self, stage: &Stage, ready: bool) {
        stage.kubectl().patch_status(&self.object(), &self.status(ready));
    }

    /// The same, where the API server may be away; false if it is.
    pub fn try_set_ready(&self, stage: &Stage, ready: bool) -> bool {
        stage.kubectl().try_patch_status(&self.object(), &self.status(ready))
    }

    fn object(&self) -> String {
        format!("pod/{}", self.name)
    }

    fn status(&self, ready: bool) -> Value {
        let ready = if ready { "True" } else { "False" };
        // What the controller says when something changed is this.
        let since = format!("{:.0}", Timestamp::now());
        json!({
            "phase": "Running",
            "podIP": self.pod.ipv4(),
            "podIPs": [{ "ip": self.pod.ipv4() }, { "ip": self.pod.ipv6() }],
            "conditions": [{ "type": "Ready", "status": ready, "lastTransitionTime": since }, { "type": "ContainersReady", "status": ready }],
        })
    }

    /// Asks it to end: it terminates from now on, and its kubelet gives it time.
    pub fn delete(&self, stage: &Stage) {
        stage.kubectl().run(&["delete", "pod", &self.name, "--wait=false"]);
    }

    /// Says that it has ended.
    pub fn ended(self, stage: &Stage) {
        stage.kubectl().run(&["delete", "pod", &self.name, "--grace-period=0", "--force"]);
    }
}
