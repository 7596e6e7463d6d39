//! What the kernel has, tried by loading a program.

use super::call::{bpf_open, empty};
use aya_obj::generated::{
    BPF_ALU64, BPF_CALL, BPF_EXIT, BPF_JMP, BPF_K, BPF_MOV, bpf_attach_type, bpf_cmd, bpf_func_id,
    bpf_prog_type,
};
use std::io;

/// True if a connect4 program may call bpf_set_retval (Linux 6.1, commit dea6a4e17013), tried by
/// loading one.
///
/// # Errors
/// Of BPF_PROG_LOAD, other than EINVAL, which means no (`PermissionDenied`: no CAP_NET_ADMIN).
pub fn probe_set_retval() -> io::Result<bool> {
    let immediate = |code: u32, register: u8, value: i32| -> [u8; 8] {
        let [a, b, c, d] = value.to_ne_bytes();
        [code as u8, register, 0, 0, a, b, c, d]
    };
    // r1 = -ECONNREFUSED; call bpf_set_retval; r0 = 0; exit. Small registers read the same in both
    // byte orders only where they are zero: r1 is 1 in the low nibble, or in the high one.
    let r1 = if cfg!(target_endian = "little") { 0x01 } else { 0x10 };
    let program = [
        immediate(BPF_ALU64 | BPF_MOV | BPF_K, r1, -libc::ECONNREFUSED),
        immediate(BPF_JMP | BPF_CALL, 0, bpf_func_id::BPF_FUNC_set_retval as i32),
        immediate(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0),
        immediate(BPF_JMP | BPF_EXIT, 0, 0),
    ];
    let mut attr = empty();
    attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR as u32;
    attr.__bindgen_anon_3.expected_attach_type = bpf_attach_type::BPF_CGROUP_INET4_CONNECT as u32;
    attr.__bindgen_anon_3.insn_cnt = program.len() as u32;
    attr.__bindgen_anon_3.insns = program.as_ptr() as u64;
    attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    // SAFETY: `program` holds `insn_cnt` instructions, and the licence ends with a zero.
    match unsafe { bpf_open(bpf_cmd::BPF_PROG_LOAD, &mut attr) } {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
        Err(error) => Err(error),
    }
}
