//! A program run once on a packet with what the kernel knows of it: BPF_PROG_TEST_RUN.

use super::call::{bpf, empty, number};
use super::test_run::{TestPacket, TestRun};
use aya_obj::generated::bpf_cmd;
use std::io;
use std::os::fd::BorrowedFd;

/// Words of `__sk_buff` (linux/bpf.h) that are used here.
const CONTEXT: usize = 48;
const INGRESS_IFINDEX: usize = 9;
const IFINDEX: usize = 10;
const GSO_SEGS: usize = 41;
const GSO_SIZE: usize = 44;

/// BPF_F_TEST_SKB_CHECKSUM_COMPLETE (Linux 6.11).
const CHECKSUM_COMPLETE: u32 = 1 << 2;

/// What a program may add to a packet.
const ROOM: usize = 512;

/// What the kernel knows of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TestSkb {
    /// A device has summed it up (CHECKSUM_COMPLETE). The kernel looks whether the sum fits it afterwards.
    pub summed: bool,
    /// It is several segments that travel as one, of this many bytes; zero for no.
    pub segment: u32,
}

/// Runs a tc program once on a packet, as [`super::test_run`] does.
///
/// # Errors
/// Of BPF_PROG_TEST_RUN. ENODEV: no such device; EBADMSG: the device's sum does not fit the packet any more;
/// EINVAL: longer than a page, or `summed` on a kernel before 6.11.
pub fn test_packet(program: BorrowedFd<'_>, packet: &TestPacket<'_>, skb: TestSkb) -> io::Result<TestRun> {
    let mut context = [0_u32; CONTEXT];
    context[INGRESS_IFINDEX] = packet.came_by;
    context[IFINDEX] = packet.device;
    if skb.segment != 0 {
        (context[GSO_SEGS], context[GSO_SIZE]) = (2, skb.segment);
    }
    let mut bytes = vec![0; packet.bytes.len() + ROOM];
    let mut attr = empty();
    attr.test.prog_fd = number(program);
    attr.test.flags = if skb.summed { CHECKSUM_COMPLETE } else { 0 };
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
