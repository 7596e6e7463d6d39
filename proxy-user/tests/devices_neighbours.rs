//! Programs that others have attached to a device: they run behind ours, by tcx and by clsact. Needs root; every
//! device is in a network namespace that the test made.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod kernel_lab;

use aya_obj::generated::{
    BPF_ALU64, BPF_EXIT, BPF_JMP, BPF_K, BPF_MOV, bpf_attach_type::BPF_TCX_INGRESS, bpf_attr, bpf_cmd,
    bpf_prog_type,
};
use kernel_lab::Lab;
use proxy_common::abi::DeviceEntry;
use shunt::kernel::sys::{LinkFd, Tc, TcHook, tcx_links};
use shunt::kernel::{Kernel, Options};
use shunt::lab::{Namespace, ping};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A classifier that says TC_ACT_SHOT to every packet.
fn drops_everything() -> OwnedFd {
    let instruction = |code: u32, value: i32| -> [u8; 8] {
        let [a, b, c, d] = value.to_ne_bytes();
        [code as u8, 0, 0, 0, a, b, c, d]
    };
    let program = [instruction(BPF_ALU64 | BPF_MOV | BPF_K, 2), instruction(BPF_JMP | BPF_EXIT, 0)];
    // SAFETY: plain data, for which zeros are valid.
    let mut attr: bpf_attr = unsafe { std::mem::zeroed() };
    attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
    attr.__bindgen_anon_3.insn_cnt = program.len() as u32;
    attr.__bindgen_anon_3.insns = program.as_ptr() as u64;
    attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    let (command, size) = (bpf_cmd::BPF_PROG_LOAD as libc::c_long, size_of::<bpf_attr>());
    // SAFETY: `program` holds `insn_cnt` instructions, and the licence ends with a zero.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size) };
    assert!(fd >= 0, "BPF_PROG_LOAD: {}", io::Error::last_os_error());
    // SAFETY: the kernel has just given this descriptor to us alone.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

#[test]
fn a_packet_that_we_let_pass_goes_on_to_the_programs_of_others() {
    for clsact in [false, true] {
        let Some(lab) = Lab::new() else { return };
        let [node, peer] = ["node", "peer"].map(|label| Namespace::new(label).unwrap());
        node.connect("eth0", &peer, "eth0").unwrap();
        for (last, namespace) in [(1, &node), (2, &peer)] {
            namespace.add_address("eth0", IpAddr::from([192, 0, 2, last]), 24).unwrap();
        }
        let device = node.device_index("eth0").unwrap();
        let has_tcx = node.run(|| tcx_links(device, BPF_TCX_INGRESS).is_ok()).unwrap();
        if !clsact && !has_tcx {
            eprintln!("skipped: this kernel has no tcx");
            continue;
        }
        let answered = |limit| node.run(|| ping(IpAddr::from([192, 0, 2, 2]), limit)).unwrap().is_ok();
        let (patient, short) = (Duration::from_secs(2), Duration::from_millis(200));
        let mut kernel = Kernel::open(&Options { clsact, ..lab.options() }).unwrap();
        let entry = DeviceEntry { mtu: 1500, ..DeviceEntry::default() };
        node.run(|| kernel.packets().attach(device, &entry)).unwrap().unwrap();
        assert!(answered(patient));

        let shot = drops_everything();
        // Behind tcx links come the filters of clsact.
        let add = || {
            let mut tc = Tc::open().unwrap();
            tc.add_clsact(device).unwrap();
            tc.put_filter(device, TcHook::Ingress, (100, 1), "somebody's", shot.as_fd()).unwrap();
        };
        node.run(add).unwrap();
        assert!(!answered(short), "a filter of somebody else's has the last word");
        node.run(|| Tc::open().unwrap().remove_filter(device, TcHook::Ingress, (100, 1)).unwrap()).unwrap();
        assert!(answered(patient));
        if !clsact {
            node.run(|| kernel.packets().detach(device)).unwrap().unwrap();
            let link =
                node.run(|| LinkFd::create_tcx(shot.as_fd(), device, BPF_TCX_INGRESS).unwrap()).unwrap();
            node.run(|| kernel.packets().attach(device, &entry)).unwrap().unwrap();
            assert!(!answered(short), "so has a tcx program that was there before ours");
            link.detach().unwrap();
            assert!(answered(patient));
        }
        node.run(|| kernel.packets().detach(device)).unwrap().unwrap();
    }
}
