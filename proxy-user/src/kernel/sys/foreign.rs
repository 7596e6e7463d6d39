//! Programs such as others attach, for tests of who stands in whose way: they let everything pass, or point a connection
//! elsewhere.

use super::call::{bpf, bpf_open, empty, number, object_pin};
use aya_obj::generated::{
    BPF_ALU64, BPF_EXIT, BPF_JMP, BPF_K, BPF_MEM, BPF_MOV, BPF_STX, BPF_W, bpf_attach_type, bpf_cmd,
    bpf_prog_type,
};
use std::ffi::c_char;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// `offsetof(struct bpf_sock_addr, user_ip4)`.
const USER_IP4: u8 = 4;

/// A loaded program of somebody else's.
#[derive(Debug)]
pub struct ForeignProgram(OwnedFd);

impl ForeignProgram {
    /// One that returns `verdict`: of the kinds that decide about a packet or a connection, 1 lets a connection pass, and
    /// -1 (TC_ACT_UNSPEC) or 2 (XDP_PASS) a packet. `name` has at most 15 bytes.
    ///
    /// # Errors
    /// Of BPF_PROG_LOAD.
    pub fn load(name: &str, kind: bpf_prog_type, at: bpf_attach_type, verdict: i32) -> io::Result<Self> {
        Self::load_code(name, kind, at, &[set(0, verdict), exit()])
    }

    /// One that sends every connect() of IPv4 to one address, as another load balancer would.
    ///
    /// # Errors
    /// Of BPF_PROG_LOAD.
    pub fn load_rewriting(name: &str, to: Ipv4Addr) -> io::Result<Self> {
        let word = i32::from_ne_bytes(to.octets());
        // *(u32 *)(r1 + user_ip4) = r2; the low nibble is the register that is written to.
        let registers = if cfg!(target_endian = "little") { 0x21 } else { 0x12 };
        let store = [(BPF_STX | BPF_MEM | BPF_W) as u8, registers, USER_IP4, 0, 0, 0, 0, 0];
        let kind = bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
        let at = bpf_attach_type::BPF_CGROUP_INET4_CONNECT;
        Self::load_code(name, kind, at, &[set(2, word), store, set(0, 1), exit()])
    }

    fn load_code(
        name: &str,
        kind: bpf_prog_type,
        at: bpf_attach_type,
        program: &[[u8; 8]],
    ) -> io::Result<Self> {
        let mut attr = empty();
        attr.__bindgen_anon_3.prog_type = kind as u32;
        attr.__bindgen_anon_3.expected_attach_type = at as u32;
        attr.__bindgen_anon_3.insn_cnt = program.len() as u32;
        attr.__bindgen_anon_3.insns = program.as_ptr() as u64;
        attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
        let mut bytes = [0 as c_char; 16];
        bytes.iter_mut().zip(name.bytes().take(15)).for_each(|(to, byte)| *to = byte as c_char);
        attr.__bindgen_anon_3.prog_name = bytes;
        // SAFETY: `program` holds `insn_cnt` instructions, and the licence ends with a zero.
        unsafe { bpf_open(bpf_cmd::BPF_PROG_LOAD, &mut attr) }.map(Self)
    }

    /// Attaches it to a cgroup without a link, by flags BPF_F_ALLOW_* or none: it stays until [`Self::detach`] or until the
    /// cgroup goes.
    ///
    /// # Errors
    /// Of BPF_PROG_ATTACH.
    pub fn attach(&self, cgroup: BorrowedFd<'_>, at: bpf_attach_type, flags: u32) -> io::Result<()> {
        self.attachment(bpf_cmd::BPF_PROG_ATTACH, cgroup, at, flags)
    }

    /// Takes it from the cgroup.
    ///
    /// # Errors
    /// Of BPF_PROG_DETACH.
    pub fn detach(&self, cgroup: BorrowedFd<'_>, at: bpf_attach_type) -> io::Result<()> {
        self.attachment(bpf_cmd::BPF_PROG_DETACH, cgroup, at, 0)
    }

    /// Pins it, for commands that attach what is pinned.
    ///
    /// # Errors
    /// Of BPF_OBJ_PIN.
    pub fn pin(&self, path: &Path) -> io::Result<()> {
        object_pin(path, self.0.as_fd())
    }

    fn attachment(
        &self,
        command: bpf_cmd,
        cgroup: BorrowedFd<'_>,
        at: bpf_attach_type,
        flags: u32,
    ) -> io::Result<()> {
        let mut attr = empty();
        attr.__bindgen_anon_5.__bindgen_anon_1.target_fd = number(cgroup);
        attr.__bindgen_anon_5.attach_bpf_fd = number(self.0.as_fd());
        attr.__bindgen_anon_5.attach_type = at as u32;
        attr.__bindgen_anon_5.attach_flags = flags;
        // SAFETY: the attributes of these commands hold no address.
        unsafe { bpf(command, &mut attr) }.map(drop)
    }
}

impl AsFd for ForeignProgram {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A register is set to a number.
fn set(register: u8, value: i32) -> [u8; 8] {
    let [a, b, c, d] = value.to_ne_bytes();
    let register = if cfg!(target_endian = "little") { register } else { register << 4 };
    [(BPF_ALU64 | BPF_MOV | BPF_K) as u8, register, 0, 0, a, b, c, d]
}

/// The program ends.
fn exit() -> [u8; 8] {
    [(BPF_JMP | BPF_EXIT) as u8, 0, 0, 0, 0, 0, 0, 0]
}
