//! Pods connected by the CNI plugins of Debian's containernetworking-plugins: `bridge`, with addresses from
//! `host-local`. They run as on a real node: in its namespace, configured on standard input (CNI
//! specification 1.0.0).

use super::{
    addresses::{GATEWAY, pods},
    host::DEVICE,
    pod::{Pod, PodLink},
};
use crate::lab::{LabError, Namespace, Program, settle};
use serde_json::{Value, json};
use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    process::{self, Command},
    time::Duration,
};

/// Where Debian and everybody else have the plugins.
const DIRECTORIES: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// A plugin takes some milliseconds.
const LIMIT: Duration = Duration::from_secs(20);

/// The bridge's name on every node that flannel or kubenet set up.
pub(super) const BRIDGE: &str = "cni0";

/// The network configuration of a node, and where its leases are.
#[derive(Debug)]
pub(super) struct Cni {
    node: u8,
    config: String,
}

impl Cni {
    /// What flannel delegates to the bridge plugin, for a node counted from 1.
    pub fn new(node: u8, mtu: u32, leases: &Path) -> Self {
        let subnet = |ip: IpAddr, prefix: u8| json!([{ "subnet": format!("{ip}/{prefix}") }]);
        let config = json!({
            "cniVersion": "1.0.0",
            "name": format!("lab-{node}"),
            "type": "bridge",
            "bridge": BRIDGE,
            "mtu": mtu,
            "isDefaultGateway": true,
            "hairpinMode": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": leases,
                "ranges": pods(node).both(0).map(|(ip, prefix)| subnet(ip, prefix)),
            },
        });
        Self { node, config: config.to_string() }
    }

    /// Connects a pod. On return the node reaches it over both families.
    pub fn add(&self, node: &Namespace, label: &str) -> Result<Pod, LabError> {
        let namespace = Namespace::new(label)?;
        let result = self.run("ADD", node, &namespace)?;
        let wrong = |what| {
            let error = io::Error::new(io::ErrorKind::InvalidData, format!("{what} in {result}"));
            LabError::new("read the result of the CNI plugin", label, error)
        };
        let address = |ipv4: bool| {
            let ips = result["ips"].as_array()?.iter();
            let mut parsed =
                ips.filter_map(|ip| ip["address"].as_str()?.split_once('/')?.0.parse::<IpAddr>().ok());
            parsed.find(|ip| ip.is_ipv4() == ipv4)
        };
        let (Some(IpAddr::V4(ipv4)), Some(IpAddr::V6(ipv6))) = (address(true), address(false)) else {
            return Err(wrong("no address of each family"));
        };
        // Neither the bridge nor in the pod's sandbox.
        let node_device = result["interfaces"].as_array().and_then(|devices| {
            let mut outside =
                devices.iter().filter(|device| device["sandbox"].as_str().unwrap_or("").is_empty());
            outside.find_map(|device| device["name"].as_str().filter(|name| *name != BRIDGE))
        });
        let node_device = node_device.ok_or_else(|| wrong("no veth on the node"))?.to_owned();
        settle::is_running(node, BRIDGE)?;
        settle::is_running(&namespace, DEVICE)?;
        settle::answers_to(node, BRIDGE, pods(self.node).v6(GATEWAY))?;
        settle::answers_to(&namespace, DEVICE, ipv6)?;
        Ok(Pod { namespace, ipv4, ipv6, node_device, link: PodLink::Bridge })
    }

    /// Takes a pod's link and addresses back.
    pub fn remove(&self, node: &Namespace, pod: &Namespace) -> Result<(), LabError> {
        self.run("DEL", node, pod).map(|_| ())
    }

    /// Runs the plugin in the node's namespace.
    fn run(&self, operation: &str, node: &Namespace, pod: &Namespace) -> Result<Value, LabError> {
        let fail =
            |call| move |error: io::Error| LabError::new(call, format_args!("{operation} {pod}"), error);
        let directory = DIRECTORIES.iter().find(|path| Path::new(path).join("bridge").exists());
        let directory = directory.ok_or_else(|| {
            let error = io::Error::new(io::ErrorKind::NotFound, "install containernetworking-plugins");
            LabError::new("find the CNI plugins", DIRECTORIES.join(":"), error)
        })?;
        let mut command = Command::new(Path::new(directory).join("bridge"));
        command
            .env("CNI_COMMAND", operation)
            .env("CNI_CONTAINERID", format!("pod-{}", pod.inode()?))
            // Namespaces of the lab have no name; this process holds them open.
            .env("CNI_NETNS", format!("/proc/{}/fd/{}", process::id(), pod.as_fd().as_raw_fd()))
            .env("CNI_IFNAME", DEVICE)
            .env("CNI_PATH", directory);
        let program = Program::start_with_input(node, &mut command, self.config.as_bytes())?;
        let output = program.finish(LIMIT)?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(fail("run the CNI plugin")(io::Error::other(format!("{}: {text}", output.status))));
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|error| fail("read the result of the CNI plugin")(error.into()))
    }
}
