//! Filters of clsact qdiscs by netlink (tc(8), tc-bpf(8)): where packet programs run on kernels without tcx.

use super::netlink::{Netlink, attributes, push_attribute};
use aya_obj::generated::{
    TC_H_CLSACT, TC_H_MIN_EGRESS, TC_H_MIN_INGRESS, TCA_BPF_FD, TCA_BPF_FLAG_ACT_DIRECT, TCA_BPF_FLAGS,
    TCA_BPF_ID, TCA_BPF_NAME, TCA_KIND, TCA_OPTIONS,
};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct tcmsg`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Message {
    family: u8,
    pad1: u8,
    pad2: u16,
    device: u32,
    handle: u32,
    parent: u32,
    /// Of a filter its priority, in the upper half, and its protocol, network byte order.
    info: u32,
}

/// Where packets pass a clsact qdisc.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum TcHook {
    /// As they arrive.
    Ingress = TC_H_CLSACT & 0xffff_0000 | TC_H_MIN_INGRESS,
    /// As they leave.
    Egress = TC_H_CLSACT & 0xffff_0000 | TC_H_MIN_EGRESS,
}

/// A filter that runs a program, or one of another kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Filters of a lower number run first.
    pub priority: u16,
    /// Which one it is of that priority.
    pub handle: u32,
    /// What its maker called it; `None` of another kind.
    pub name: Option<String>,
    /// Id of the program.
    pub program_id: Option<u32>,
}

/// Speaks with the kernel about the qdiscs of the network namespace of the thread that opened it. After an error
/// open another one.
#[derive(Debug)]
pub struct Tc(Netlink);

impl Tc {
    /// # Errors
    /// Of socket(2), connect(2) or setsockopt(2).
    pub fn open() -> io::Result<Self> {
        Netlink::open(None).map(Self)
    }

    /// Indices of the devices that have a clsact qdisc.
    ///
    /// # Errors
    /// Of RTM_GETQDISC.
    pub fn clsact_devices(&mut self) -> io::Result<Vec<u32>> {
        self.0.dump(libc::RTM_GETQDISC, Message::default().as_bytes(), |kind, payload| {
            let (Message { device, .. }, rest) = Message::read_from_prefix(payload).ok()?;
            let clsact = attribute(rest, TCA_KIND) == Some(&b"clsact\0"[..]);
            (kind == libc::RTM_NEWQDISC && clsact).then_some(device)
        })
    }

    /// Gives a device a clsact qdisc, if it has none.
    ///
    /// # Errors
    /// Of RTM_NEWQDISC; ENODEV: no such device. A qdisc of kind `ingress` is in the way of one.
    pub fn add_clsact(&mut self, device: u32) -> io::Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        match self.0.change(libc::RTM_NEWQDISC, flags, &clsact(device)) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            made => made,
        }
    }

    /// Takes the clsact qdisc from a device, and all its filters.
    ///
    /// # Errors
    /// Of RTM_DELQDISC.
    pub fn remove_clsact(&mut self, device: u32) -> io::Result<()> {
        self.0.change(libc::RTM_DELQDISC, 0, &clsact(device))
    }

    /// The filters of a device, in the order in which they run; none where it has no clsact qdisc.
    ///
    /// # Errors
    /// Of RTM_GETTFILTER.
    pub fn filters(&mut self, device: u32, hook: TcHook) -> io::Result<Vec<Filter>> {
        let request = Message { device, parent: hook as u32, ..Message::default() };
        let filters = self.0.dump(libc::RTM_GETTFILTER, request.as_bytes(), |kind, payload| {
            (kind == libc::RTM_NEWTFILTER).then(|| filter(payload)).flatten()
        });
        match filters {
            // It went away meanwhile, or never had one (Linux 5.10 to 6.12: `tcf_block` of no qdisc).
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::EINVAL)) => Ok(Vec::new()),
            filters => filters,
        }
    }

    /// Adds a filter that runs `program` on all packets and whose verdict is the program's, or puts the program in
    /// the place of the one that runs there.
    ///
    /// # Errors
    /// Of RTM_NEWTFILTER; EINVAL: the priority is that of filters of another kind. ERANGE: the name has more than
    /// 255 bytes.
    pub fn put_filter(
        &mut self,
        device: u32,
        hook: TcHook,
        (priority, handle): (u16, u32),
        name: &str,
        program: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut options = Vec::new();
        push_attribute(&mut options, TCA_BPF_FD as u16, &program.as_raw_fd().to_ne_bytes());
        push_attribute(&mut options, TCA_BPF_NAME as u16, &[name.as_bytes(), &[0]].concat());
        push_attribute(&mut options, TCA_BPF_FLAGS as u16, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
        let mut request = address(device, hook, priority, handle).as_bytes().to_vec();
        push_attribute(&mut request, TCA_KIND as u16, b"bpf\0");
        push_attribute(&mut request, TCA_OPTIONS as u16 | libc::NLA_F_NESTED as u16, &options);
        self.0.change(libc::RTM_NEWTFILTER, libc::NLM_F_CREATE, &request)
    }

    /// Removes a filter.
    ///
    /// # Errors
    /// Of RTM_DELTFILTER.
    pub fn remove_filter(
        &mut self,
        device: u32,
        hook: TcHook,
        (priority, handle): (u16, u32),
    ) -> io::Result<()> {
        let mut request = address(device, hook, priority, handle).as_bytes().to_vec();
        push_attribute(&mut request, TCA_KIND as u16, b"bpf\0");
        self.0.change(libc::RTM_DELTFILTER, 0, &request)
    }
}

fn clsact(device: u32) -> Vec<u8> {
    let message =
        Message { device, handle: TC_H_CLSACT & 0xffff_0000, parent: TC_H_CLSACT, ..Message::default() };
    let mut request = message.as_bytes().to_vec();
    push_attribute(&mut request, TCA_KIND as u16, b"clsact\0");
    request
}

fn address(device: u32, hook: TcHook, priority: u16, handle: u32) -> Message {
    let info = u32::from(priority) << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
    Message { device, handle, parent: hook as u32, info, ..Message::default() }
}

/// The first message of each priority tells of no filter yet, and has no handle.
fn filter(payload: &[u8]) -> Option<Filter> {
    let (Message { handle, info, .. }, rest) = Message::read_from_prefix(payload).ok()?;
    let is_program = attribute(rest, TCA_KIND) == Some(&b"bpf\0"[..]);
    let options = attribute(rest, TCA_OPTIONS).filter(|_| is_program).unwrap_or_default();
    let name = attribute(options, TCA_BPF_NAME).map(|name| {
        let name = name.strip_suffix(&[0]).unwrap_or(name);
        String::from_utf8_lossy(name).into_owned()
    });
    let program_id = attribute(options, TCA_BPF_ID).and_then(|id| u32::read_from_bytes(id).ok());
    Some(Filter { priority: (info >> 16) as u16, handle, name, program_id })
}

fn attribute(of: &[u8], wanted: u32) -> Option<&[u8]> {
    attributes(of).find_map(|(kind, value)| (u32::from(kind) == wanted).then_some(value))
}
