//! The agent's part of the packet path: how it works, and which devices its programs are on.

use crate::{
    cli::packet_args::PacketArgs,
    dataplane::{Dataplane, DeviceReport},
    model::Device,
    select::{ChosenDevice, FEWEST_PORTS, PacketDevices, select_devices, source_ports},
    source::devices::DeviceFollower,
};
use proxy_common::abi::{PacketFlags, PacketSettings};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// First wait before devices that were refused are tried again; doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest wait before they are tried again.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Keeps the packet programs on the devices that are wanted.
pub struct Packets {
    rules: PacketDevices,
    settings: PacketSettings,
    /// `None` where no device can be wanted.
    follower: Option<DeviceFollower>,
    found: Vec<Device>,
    chosen: Vec<ChosenDevice>,
    /// Addresses of the Node object, when they were chosen.
    node: Vec<IpAddr>,
    /// Nothing was chosen yet.
    first: bool,
    /// When to try again, and the wait after that.
    retry: Option<Instant>,
    wait: Duration,
    /// No device was chosen, and that was said.
    nowhere: bool,
    /// Devices that were complained about.
    refused: BTreeSet<u32>,
    /// Devices that do not forward a family, and were named.
    still: BTreeSet<(&'static str, String)>,
}

impl Packets {
    /// Looks which devices there are, and follows them from now on.
    ///
    /// # Errors
    /// [`Usage`] where no source ports are left; or of netlink.
    pub fn start(args: &PacketArgs) -> anyhow::Result<Self> {
        let rules = args.devices();
        let (mut follower, mut found) = (None, Vec::new());
        let mut settings = PacketSettings { flags: args.flags(), ..PacketSettings::default() };
        if !rules.is_none() {
            let ports = match &args.snat_ports {
                Some(range) => range.0.clone(),
                None => default_ports()?,
            };
            settings.first_port = *ports.start();
            // All 65,535 of them is the most, since port 0 is none.
            settings.ports = ports.len() as u16;
            let (started, list) = DeviceFollower::start()?;
            (follower, found) = (Some(started), list);
        }
        Ok(Self {
            rules,
            settings,
            follower,
            found,
            chosen: Vec::new(),
            node: Vec::new(),
            first: true,
            retry: None,
            wait: RETRY_MIN,
            nowhere: false,
            refused: BTreeSet::new(),
            still: BTreeSet::new(),
        })
    }

    /// Whether any device can be wanted.
    pub const fn follows(&self) -> bool {
        self.follower.is_some()
    }

    /// How many devices are wanted.
    pub const fn wanted(&self) -> usize {
        self.chosen.len()
    }

    /// Waits until the devices change; for ever where nobody follows them.
    pub async fn changed(&mut self) -> Vec<Device> {
        match &mut self.follower {
            Some(follower) => follower.next().await,
            None => std::future::pending().await,
        }
    }

    /// Takes in that they have changed. Before the first sync nobody knows which are wanted.
    pub fn take(&mut self, found: Vec<Device>, dataplane: &mut Dataplane) {
        self.found = found;
        if !self.first {
            self.attach(dataplane);
        }
    }

    /// When devices that were refused are to be tried again by [`Self::attach`].
    pub fn due(&self) -> Option<Instant> {
        self.retry
    }

    /// Chooses anew if that may come to something else since the Node object changed, or if it is the first time.
    pub fn synced(&mut self, dataplane: &mut Dataplane) {
        if self.first {
            dataplane.set_packets(&self.settings);
            self.attach(dataplane);
        } else if node_addresses(dataplane) != self.node {
            self.attach(dataplane);
        }
    }

    /// Says whether connections that nobody here has begun are left to the kernel.
    pub fn leave_unknown(&mut self, leave: bool, dataplane: &mut Dataplane) {
        let unknown = PacketFlags::LEAVE_UNKNOWN;
        if leave == self.settings.flags.contains(unknown) {
            return;
        }
        self.settings.flags = PacketFlags(self.settings.flags.0 ^ unknown.0);
        // The first sync says all.
        if !self.first {
            dataplane.set_packets(&self.settings);
        }
    }

    /// Attaches the programs to the devices that are wanted now.
    pub fn attach(&mut self, dataplane: &mut Dataplane) {
        self.first = false;
        self.node = node_addresses(dataplane).to_vec();
        self.chosen = select_devices(&self.found, &self.rules, &self.node);
        let wanted: BTreeMap<_, _> = self.chosen.iter().map(|device| (device.index, device.entry)).collect();
        let failed = match dataplane.set_devices(&wanted) {
            Ok(report) => self.log(&report),
            Err(error) => {
                tracing::error!("{error}; packets are translated as before");
                true
            }
        };
        self.retry = failed.then(|| Instant::now() + self.wait);
        self.wait = if failed { (self.wait * 2).min(RETRY_MAX) } else { RETRY_MIN };
        self.warn_of_none();
        self.warn_of_forwarding();
    }

    /// Says, once until that ends, that no device is called as the operator said.
    fn warn_of_none(&mut self) {
        let none = !self.rules.is_none() && self.chosen.is_empty();
        if none && !std::mem::replace(&mut self.nowhere, none) {
            tracing::warn!(
                "no device is chosen, so packets are not translated until one is: look at --interfaces and `ip address`"
            );
        }
        self.nowhere = none;
    }

    /// Says what was done; true if it is to be tried again. Each device is complained about once.
    fn log(&mut self, report: &DeviceReport) -> bool {
        let name = |index: &u32| {
            let device = self.found.iter().find(|device| device.index == *index);
            device.map_or_else(|| format!("device {index}"), |device| device.name.clone())
        };
        let names = |indices: &[u32]| indices.iter().map(name).collect::<Vec<_>>().join(", ");
        let done = [
            ("attached to", &report.attached),
            ("updated on", &report.changed),
            ("detached from", &report.detached),
        ];
        for (what, indices) in done {
            if !indices.is_empty() {
                tracing::info!("packet programs {what} {}", names(indices));
            }
        }
        // A device that went away meanwhile is in the next list no more.
        let failed = report.failed.iter().filter(|(_, error)| !error.is_gone());
        let failed: BTreeMap<_, _> = failed.map(|(index, error)| (*index, error)).collect();
        for (index, error) in failed.iter().filter(|(index, _)| !self.refused.contains(index)) {
            tracing::warn!("{}: {error}; its packets are not translated, and it is tried again", name(index));
        }
        self.refused = failed.keys().copied().collect();
        !failed.is_empty()
    }

    /// Names the devices, each once, that packets would arrive on only to be thrown away: the kernel does not route
    /// them on.
    fn warn_of_forwarding(&mut self) {
        for (family, all) in [("ipv4", "net.ipv4.ip_forward"), ("ipv6", "net.ipv6.conf.all.forwarding")] {
            let is_off = |name: &str| {
                let value = fs::read_to_string(format!("/proc/sys/net/{family}/conf/{name}/forwarding"));
                value.is_ok_and(|value| value.trim() == "0")
            };
            let names = self.chosen.iter().map(|device| device.name.clone());
            let off = names.filter(|name| is_off(name) && self.still.insert((family, name.clone())));
            let off: Vec<_> = off.collect();
            if !off.is_empty() {
                tracing::warn!(
                    "{} does not forward {family}: what arrives there for a pod of this node is thrown away; set \
                     {all}=1 (Shunt leaves that to whoever sets the node up, as kube-proxy does)",
                    off.join(", ")
                );
            }
        }
    }
}

fn node_addresses(dataplane: &Dataplane) -> &[IpAddr] {
    dataplane.engine().cluster().node().map_or(&[], |node| &node.addresses)
}

/// The ports that nobody else uses; where too few are left, some that sockets may get too.
fn default_ports() -> anyhow::Result<RangeInclusive<u16>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    let local = match (numbers.next(), numbers.next()) {
        (Some(low), Some(high)) => low..=high,
        _ => anyhow::bail!("net.ipv4.ip_local_port_range is {text:?}, not two ports"),
    };
    Ok(source_ports(&local).unwrap_or_else(|| {
        let (low, high) = (local.start(), local.end());
        tracing::warn!(
            "net.ipv4.ip_local_port_range ({low}-{high}) and NodePorts leave no {FEWEST_PORTS} ports in a row for what the \
             node sends in a client's place: it uses 1024-29999 too. A port that a socket has is passed over, but one \
             may get it later and then talk to the same endpoint; make that range smaller, or give --snat-ports"
        );
        1_024..=29_999
    }))
}
