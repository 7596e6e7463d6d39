//! The wires of the local network.

use crate::lab::{LabError, Namespace, tun::Tun};
use std::path::Path;

/// The switch's bridge.
const BRIDGE: &str = "lan";

/// The switch: a bridge in a namespace that takes no part in the network itself.
#[derive(Debug)]
pub(super) struct Switch {
    pub namespace: Namespace,
    offload: bool,
}

impl Switch {
    pub fn new(offload: bool) -> Result<Self, LabError> {
        let namespace = Namespace::new("switch")?;
        namespace.set_sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
        // br_netfilter would look into packets, and reassemble them where conntrack is at work.
        for name in ["iptables", "ip6tables", "arptables"] {
            let name = format!("net/bridge/bridge-nf-call-{name}");
            if Path::new("/proc/sys").join(&name).exists() {
                namespace.set_sysctl(&name, "0")?;
            }
        }
        namespace.add_bridge(BRIDGE)?;
        Ok(Self { namespace, offload })
    }

    /// Connects a device of a host to a port.
    pub fn plug(&self, port: &str, host: &Namespace, device: &str) -> Result<(), LabError> {
        self.namespace.connect(port, host, device)?;
        self.finish(host, device)?;
        self.namespace.add_port(BRIDGE, port)
    }

    /// Makes a port whose other end is a file.
    pub fn port(&self, port: &str) -> Result<Tun, LabError> {
        let tap = Tun::frames(&self.namespace, port)?;
        self.namespace.add_port(BRIDGE, port)?;
        Ok(tap)
    }

    /// Makes a device of a host as they all are to be.
    pub fn finish(&self, host: &Namespace, device: &str) -> Result<(), LabError> {
        if self.offload { Ok(()) } else { host.set_checksum_offload(device, false) }
    }
}
