//! The packet path in `shunt status`: devices, and how packets are translated.

use crate::kernel::{AttachedBy, DeviceAttachment, PinnedMaps, sys};
use proxy_common::abi::{Address, DeviceFlags, PacketFlags, PacketSettings};
use serde::Serialize;
use std::io::{self, Write};

/// A device that the packet programs are attached to.
#[derive(Serialize)]
pub struct DeviceStatus {
    /// `None` if it is gone.
    device: Option<String>,
    index: u32,
    by: Option<&'static str>,
    /// Ids of the programs.
    ingress: Option<u32>,
    egress: Option<u32>,
    effective: bool,
    /// What the programs know of it.
    headerless: bool,
    pods: bool,
    mtu: Option<u32>,
    addresses: Vec<String>,
}

impl DeviceStatus {
    /// Whether packets cross the device untranslated, or one way only, though the programs were meant for it. A
    /// device that is gone has none.
    pub const fn is_broken(&self) -> bool {
        self.device.is_some() && !self.effective
    }
}

/// How packets are translated.
#[derive(Serialize)]
pub struct PacketStatus {
    masquerade_always: bool,
    bind_protection: bool,
    /// First and last of the source ports; `None` where there are none.
    source_ports: Option<(u16, u16)>,
}

impl PacketStatus {
    /// As the programs are told.
    pub fn new(settings: PacketSettings) -> Self {
        let PacketSettings { flags, first_port, ports } = settings;
        let last = ports.checked_sub(1).and_then(|more| first_port.checked_add(more));
        Self {
            masquerade_always: flags.contains(PacketFlags::MASQUERADE_ALWAYS),
            bind_protection: flags.contains(PacketFlags::BIND_PROTECTION),
            source_ports: last.map(|last| (first_port, last)),
        }
    }
}

/// The devices of the network namespace that this process is in.
pub fn devices(maps: &PinnedMaps) -> anyhow::Result<Vec<DeviceStatus>> {
    let attached = maps.attached_devices()?;
    let there = if attached.is_empty() { Vec::new() } else { sys::devices()? };
    let status = |attachment: &DeviceAttachment| {
        let device = there.iter().find(|device| device.index == attachment.device);
        let has = |flag| attachment.entry.is_some_and(|entry| entry.flags.contains(flag));
        let addresses = attachment.entry.map(|entry| [Address::from_v4_word(entry.address4), entry.address6]);
        let addresses = addresses.into_iter().flatten().filter(|address| *address != address.unspecified());
        DeviceStatus {
            device: device.map(|device| device.name.clone()),
            index: attachment.device,
            by: attachment.by.map(|by| match by {
                AttachedBy::Tcx => "tcx",
                AttachedBy::Clsact => "clsact",
            }),
            ingress: attachment.ingress,
            egress: attachment.egress,
            effective: attachment.is_effective(),
            headerless: has(DeviceFlags::HEADERLESS),
            pods: has(DeviceFlags::PODS),
            mtu: attachment.entry.map(|entry| entry.mtu),
            addresses: addresses.map(|address| address.to_ip().to_string()).collect(),
        }
    };
    Ok(attached.iter().map(status).collect())
}

/// Writes both for people.
pub fn write_devices(
    out: &mut impl Write,
    devices: &[DeviceStatus],
    packets: &PacketStatus,
) -> io::Result<()> {
    if devices.is_empty() {
        return writeln!(out, "\nNo device is attached to: packets are not translated.");
    }
    writeln!(out, "\nDEVICE            INDEX  BY      INGRESS   EGRESS    STATE")?;
    for device in devices {
        let id = |id: Option<u32>| id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let (ingress, egress) = (id(device.ingress), id(device.egress));
        let state = match (&device.device, device.effective) {
            (None, _) => "gone",
            (_, true) => "in effect",
            (_, false) => "NOT IN EFFECT",
        };
        let (name, by) = (device.device.as_deref().unwrap_or("-"), device.by.unwrap_or("-"));
        let pods = if device.pods { ", pods" } else { "" };
        writeln!(out, "{name:16} {:6}  {by:6}  {ingress:8}  {egress:8}  {state}{pods}", device.index)?;
    }
    let masquerade = if packets.masquerade_always { "always" } else { "auto" };
    let protection = if packets.bind_protection { "on" } else { "off" };
    let ports = packets.source_ports.map_or_else(|| "none".to_owned(), |(low, high)| format!("{low}-{high}"));
    writeln!(out, "masquerade {masquerade}, source ports {ports}, bind protection {protection}")
}
