//! Who computes the checksums. A device that promises to do it (NETIF_F_SCTP_CRC) spares the sender; veth promises
//! it and does nothing, since its peer is in the same memory. So between pods nobody computes any, and a translation
//! of ports that breaks them goes unnoticed, unless it is told to.

use anyhow::{Context as _, Result};
use rustix::{
    io,
    ioctl::{self, Opcode, Updater},
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};
use shunt::lab::{Lab, Namespace};
use std::{fmt, ptr};

/// Who it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sums {
    /// Every device on the way promises to.
    Nobody,
    /// The pods' own devices do not promise to.
    Sender,
    /// The node's do not: like one that lets pods' packets out by a network card without such a feature.
    Node,
}

impl Sums {
    /// Lets the devices of a node and its pods promise so much.
    ///
    /// # Errors
    /// A device does not let itself be changed.
    pub fn set_up(self, lab: &Lab) -> Result<()> {
        for pod in lab.pods() {
            set(pod, "eth0", self != Self::Sender)?;
            set(lab.node(), pod.node_device(), self != Self::Node)?;
        }
        Ok(())
    }

    /// True if so many packets without and with a checksum can be seen at the node.
    pub fn agree(self, zero: usize, computed: usize) -> bool {
        match self {
            Self::Nobody => zero > 0 && computed == 0,
            Self::Sender => zero == 0 && computed > 0,
            // They come without and leave with one.
            Self::Node => zero > 0 && computed > 0,
        }
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nobody => "nobody",
            Self::Sender => "the sender",
            Self::Node => "the node",
        })
    }
}

/// ethtool(8), `-K DEVICE tx on|off`: all checksums of sent packets, SCTP's among them (net/ethtool/ioctl.c,
/// ethtool_get_feature_mask).
fn set(namespace: &Namespace, device: &str, promise: bool) -> Result<()> {
    let request = || {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        ethtool(&socket, device, SET_TX_CHECKSUMS, promise.into())
    };
    namespace.run(request)?.with_context(|| format!("ioctl(SIOCETHTOOL, {device} of {})", namespace.label()))
}

/// SIOCETHTOOL of linux/sockios.h, ETHTOOL_STXCSUM of linux/ethtool.h.
const SIOCETHTOOL: Opcode = 0x8946;
const SET_TX_CHECKSUMS: u32 = 0x17;

/// struct ethtool_value.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// struct ifreq, of which ethtool uses `ifr_name` and `ifr_data`.
#[repr(C)]
struct Request {
    name: [u8; 16],
    value: *mut Value,
    /// The union behind the name has 24 bytes.
    rest: [u8; 16],
}

fn ethtool(socket: &impl rustix::fd::AsFd, device: &str, command: u32, data: u32) -> io::Result<()> {
    let mut value = Value { command, data };
    let mut request = Request { name: [0; 16], value: ptr::from_mut(&mut value), rest: [0; 16] };
    // The last byte stays 0: names are cut short by it.
    for (to, from) in request.name[..15].iter_mut().zip(device.bytes()) {
        *to = from;
    }
    // SAFETY: the opcode takes a struct ifreq, which `Request` is laid out like; it writes to nothing else.
    let update = unsafe { Updater::<SIOCETHTOOL, Request>::new(&mut request) };
    // SAFETY: ifr_data points to a struct ethtool_value that lives until the end of this function; this command
    // reads no more of it.
    unsafe { ioctl::ioctl(socket, update) }
}
