//! Options of the packet path.

use crate::select::{Glob, PacketDevices, ParseGlobError};
use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use proxy_common::abi::PacketFlags;
use std::{ops::RangeInclusive, str::FromStr};

/// Heading of `--help`.
const PACKETS: &str = "Traffic that arrives as packets";

/// Which devices are attached to, and how their packets are translated.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = PACKETS)]
pub struct PacketArgs {
    /// Devices whose packets are translated, by name: * stands for any characters, ? for one; none switches it off
    /// [default: those with a default route or an address of global scope, and tunnels].
    #[arg(long, value_name = "none|GLOB,...", value_parser = globs)]
    pub interfaces: Option<Globs>,
    /// More such devices, which lead to pods of this node: what arrives on them is theirs.
    #[arg(long, value_name = "GLOB,...", default_value = "none", value_parser = globs)]
    pub pod_interfaces: Globs,
    /// Whether endpoints see an address of the node in place of the client's: where they must (auto), or always.
    #[arg(long, value_enum, default_value_t)]
    pub masquerade: Masquerade,
    /// Source ports for what the node sends in a client's place [default: the most that neither
    /// net.ipv4.ip_local_port_range nor NodePorts use].
    #[arg(long, value_name = "LOW-HIGH")]
    pub snat_ports: Option<PortRange>,
    /// Refuses processes of the node that bind a NodePort, with EADDRINUSE. Their clients would come to the NodePort's
    /// endpoints, and they would wait for ever.
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    pub bind_protection: bool,
}

impl PacketArgs {
    /// The devices that are wanted.
    pub fn devices(&self) -> PacketDevices {
        PacketDevices {
            interfaces: self.interfaces.as_ref().map(|globs| globs.0.clone()),
            pods: self.pod_interfaces.0.clone(),
        }
    }

    /// How the programs work.
    pub fn flags(&self) -> PacketFlags {
        let mut flags = PacketFlags::default();
        if self.masquerade == Masquerade::Always {
            flags |= PacketFlags::MASQUERADE_ALWAYS;
        }
        if self.bind_protection {
            flags |= PacketFlags::BIND_PROTECTION;
        }
        flags
    }
}

/// Patterns of device names.
#[derive(Clone, Debug)]
pub struct Globs(Vec<Glob>);

fn globs(text: &str) -> Result<Globs, ParseGlobError> {
    Glob::list(text).map(Globs)
}

/// Whose address endpoints see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Masquerade {
    /// The client's, where their answers come back through the node; else the node's.
    #[default]
    Auto,
    /// The node's.
    Always,
}

/// A range of ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortRange(pub RangeInclusive<u16>);

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = text.split_once('-').and_then(|(low, high)| {
            let (low, high) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
            (low > 0 && low <= high).then_some(low..=high)
        });
        range.map(Self).ok_or_else(|| format!("{text:?} is no range of ports such as 61000-65535"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_goes_upwards() {
        assert_eq!("61000-65535".parse(), Ok(PortRange(61_000..=65_535)));
        assert_eq!("7-7".parse(), Ok(PortRange(7..=7)));
        for wrong in ["", "1", "1-", "-5", "0-5", "5-4", "1-65536", "a-b", "1-2-3"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
    }
}
