//! Programs run on a packet of the caller's, without any device: BPF_PROG_TEST_RUN.

use super::call::{bpf, bpf_open, empty, number};
use aya_obj::generated::{BPF_ALU64, BPF_EXIT, BPF_JMP, BPF_K, BPF_MOV, bpf_cmd, bpf_prog_type};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Words of `__sk_buff` (linux/bpf.h) up to the last one that a caller may set.
const CONTEXT: usize = 48;

/// Which of them are used here.
const INGRESS_IFINDEX: usize = 9;
const IFINDEX: usize = 10;
const GSO_SEGS: usize = 41;
const GSO_SIZE: usize = 44;

/// BPF_F_TEST_SKB_CHECKSUM_COMPLETE (Linux 6.11).
const CHECKSUM_COMPLETE: u32 = 1 << 2;

/// What a program may add to a packet.
const ROOM: usize = 512;

/// What a tc program is run on.
#[derive(Clone, Copy, Debug)]
pub struct TestPacket<'a> {
    /// The packet, from its Ethernet header on.
    pub bytes: &'a [u8],
    /// Index of the device that it is on, in the calling thread's network namespace.
    pub device: u32,
    /// Index of the device that it came in by; zero if a socket sent it.
    pub came_by: u32,
    /// A device has summed it up (CHECKSUM_COMPLETE). The kernel looks whether the sum fits it afterwards.
    pub summed: bool,
    /// It is several segments that travel as one, of this many bytes; zero for no.
    pub segment: u32,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestRun {
    /// What the program returned the last time.
    pub value: u32,
    /// Nanoseconds of one run, the mean over all of them.
    pub nanoseconds: u32,
    /// The packet as the program left it.
    pub bytes: Vec<u8>,
}

/// Runs a tc program on a packet `repeat` times: each run finds it as the one before has left it. What it does to
/// maps is real; a packet that it redirects goes nowhere.
///
/// # Errors
/// Of BPF_PROG_TEST_RUN. ENODEV: no such device; EBADMSG: the device's sum does not fit the packet any more;
/// EINVAL: longer than a page, or `summed` on a kernel before 6.11.
pub fn test_run(program: BorrowedFd<'_>, packet: &TestPacket<'_>, repeat: u32) -> io::Result<TestRun> {
    let mut context = [0_u32; CONTEXT];
    context[INGRESS_IFINDEX] = packet.came_by;
    context[IFINDEX] = packet.device;
    if packet.segment != 0 {
        (context[GSO_SEGS], context[GSO_SIZE]) = (2, packet.segment);
    }
    let mut bytes = vec![0; packet.bytes.len() + ROOM];
    let mut attr = empty();
    attr.test.prog_fd = number(program);
    attr.test.repeat = repeat;
    attr.test.flags = if packet.summed { CHECKSUM_COMPLETE } else { 0 };
    attr.test.data_in = packet.bytes.as_ptr() as u64;
    attr.test.data_size_in = packet.bytes.len() as u32;
    attr.test.data_out = bytes.as_mut_ptr() as u64;
    attr.test.data_size_out = bytes.len() as u32;
    attr.test.ctx_in = context.as_ptr() as u64;
    attr.test.ctx_size_in = size_of_val(&context) as u32;
    // SAFETY: the kernel reads packet and context, which are as long as the attributes say, and writes no more to
    // `bytes` than it has.
    unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }?;
    // SAFETY: plain numbers, whatever bits they hold.
    let test = unsafe { attr.test };
    bytes.truncate(test.data_size_out as usize);
    Ok(TestRun { value: test.retval, nanoseconds: test.duration, bytes })
}

/// Loads a tc program that lets every packet pass: what a test run costs by itself.
///
/// # Errors
/// Of BPF_PROG_LOAD.
pub fn empty_program() -> io::Result<OwnedFd> {
    // r0 = 0; exit.
    let program = [
        [(BPF_ALU64 | BPF_MOV | BPF_K) as u8, 0, 0, 0, 0, 0, 0, 0],
        [(BPF_JMP | BPF_EXIT) as u8, 0, 0, 0, 0, 0, 0, 0],
    ];
    let mut attr = empty();
    attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
    attr.__bindgen_anon_3.insn_cnt = program.len() as u32;
    attr.__bindgen_anon_3.insns = program.as_ptr() as u64;
    attr.__bindgen_anon_3.license = c"GPL".as_ptr() as u64;
    // SAFETY: `program` holds `insn_cnt` instructions, and the licence ends with a zero.
    unsafe { bpf_open(bpf_cmd::BPF_PROG_LOAD, &mut attr) }
}
