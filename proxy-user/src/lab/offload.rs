//! What a device leaves to its hardware: ethtool's part of a device.

use super::{LabError, Namespace, sys};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;

/// ETHTOOL_GTXCSUM and ETHTOOL_STXCSUM of <linux/ethtool.h>: checksums of what is sent.
const GET: u32 = 0x16;
const SET: u32 = 0x17;

pub(super) fn checksum(namespace: &Namespace, device: &str) -> Result<bool, LabError> {
    request("ETHTOOL_GTXCSUM", namespace, device, GET, 0).map(|value| value != 0)
}

/// Without it there is no segmentation offload either (net/core/dev.c, netdev_fix_features).
pub(super) fn set_checksum(namespace: &Namespace, device: &str, on: bool) -> Result<(), LabError> {
    request("ETHTOOL_STXCSUM", namespace, device, SET, u32::from(on)).map(|_| ())
}

fn request(
    call: &'static str,
    namespace: &Namespace,
    device: &str,
    command: u32,
    value: u32,
) -> Result<u32, LabError> {
    let answer = namespace.run(|| -> io::Result<u32> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        sys::ethtool(&socket, device, command, value)
    })?;
    answer.map_err(|error| LabError::new(call, format_args!("{namespace} {device}"), error))
}
