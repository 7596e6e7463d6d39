//! File capabilities: what the agent may do though it is not root (capabilities(7)).

/// Capabilities that the binary in the image bears, by name without `CAP_`. The DaemonSet's `capabilities.add` are
/// what a process can have of them; `deploy/README.md` says what each is for.
pub const CAPABILITIES: [(&str, u32); 6] = [
    ("DAC_OVERRIDE", 1),
    ("NET_ADMIN", 12),
    ("SYS_ADMIN", 21),
    // For the locked memory of maps before Linux 5.11.
    ("SYS_RESOURCE", 24),
    ("PERFMON", 38),
    ("BPF", 39),
];

/// `VFS_CAP_REVISION_2` of linux/capability.h.
const REVISION_2: u32 = 0x0200_0000;

/// The value of the extended attribute `security.capability` (`struct vfs_cap_data`): these permitted, none
/// inheritable. Not effective from the start: execve(2) would refuse the binary wherever one of them cannot be had,
/// even for `--version`. `shunt run` raises what it has got.
pub fn attribute() -> Vec<u8> {
    let permitted = CAPABILITIES.iter().fold(0_u64, |set, (_, bit)| set | 1 << bit);
    let (low, high) = (permitted as u32, (permitted >> 32) as u32);
    [REVISION_2, low, 0, high, 0].iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_is_what_setcap_writes() {
        // setcap cap_dac_override,cap_net_admin,cap_sys_admin,cap_sys_resource,cap_perfmon,cap_bpf=p; getfattr -e hex
        assert_eq!(attribute(), [0, 0, 0, 2, 0x02, 0x10, 0x20, 0x01, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
