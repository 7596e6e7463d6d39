//! The two places of a device where packets pass.

use crate::kernel::attach::ProgramName;
use crate::kernel::sys::TcHook;
use aya_obj::generated::bpf_attach_type::{self, BPF_TCX_EGRESS, BPF_TCX_INGRESS};

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PacketHook {
    /// It is about to leave.
    Egress,
    /// It has arrived.
    Ingress,
}

impl PacketHook {
    /// Both, in the order of attaching: what restores addresses comes first.
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// The program's name in the object.
    pub const fn program(self) -> ProgramName {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    /// The name of the pin of its link to a device.
    pub fn pin(self, device: u32) -> String {
        format!("{}-{device}", self.program())
    }

    /// Reads a pin's name.
    pub fn parse(pin: &str) -> Option<(Self, u32)> {
        let (program, device) = pin.split_once('-')?;
        let hook = Self::BOTH.into_iter().find(|hook| hook.program() == program)?;
        let device = device.parse().ok()?;
        (hook.pin(device) == pin).then_some((hook, device))
    }

    pub const fn tcx(self) -> bpf_attach_type {
        match self {
            Self::Egress => BPF_TCX_EGRESS,
            Self::Ingress => BPF_TCX_INGRESS,
        }
    }

    pub const fn tc(self) -> TcHook {
        match self {
            Self::Egress => TcHook::Egress,
            Self::Ingress => TcHook::Ingress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pins_name_tells_hook_and_device() {
        for hook in PacketHook::BOTH {
            assert_eq!(PacketHook::parse(&hook.pin(12)), Some((hook, 12)));
        }
        for other in
            ["ingress", "ingress-", "ingress-x", "ingress-07", "ingress-7_new", "connect4", "egress--1"]
        {
            assert_eq!(PacketHook::parse(other), None, "{other}");
        }
    }
}
