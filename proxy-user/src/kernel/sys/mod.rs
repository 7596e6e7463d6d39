//! bpf(2) calls that aya 0.14 lacks, as safe functions over checked file descriptors.
//!
//! Every call made here is counted ([`calls`]), so that tests can assert what a change costs.

#![allow(unsafe_code, reason = "the kernel is given addresses")]

mod btf;
mod call;
mod devices;
mod foreign;
mod link;
mod listeners;
mod map;
mod netfilter;
mod netfilter_rules;
mod netfilter_sets;
mod netlink;
mod netns;
mod probe;
mod program;
mod sock_diag;
mod tc;
mod tcx;
mod test_run;
mod xdp;
mod xtables;
mod xtables_lock;

pub use btf::{MapTypes, btf_bytes, map_types};
pub use call::{ObjectKind, calls, open_any};
pub use devices::{device_kind, devices, has_device, remove_device};
pub use foreign::ForeignProgram;
pub use link::{CgroupLink, LinkFd, effective_programs};
pub use listeners::tcp_listeners;
pub use map::{Access, MapFd, Partial, put_program, swap_inner};
pub use netfilter::{NFPROTO, NfTables};
pub use netfilter_rules::NfDeletion;
pub use netfilter_sets::{counters, ipsets, remove_counter, remove_ipset};
pub use netns::netns_cookie;
pub use probe::probe_set_retval;
pub use program::{ProgramInfo, own_programs, program_by_id};
pub use sock_diag::{ConnectedUdp, SockDiag};
pub use tc::{Filter, Tc, TcHook};
pub use tcx::{TcxLink, TcxProgram, tcx_links, tcx_programs};
pub use test_run::{TestPacket, TestRun, empty_program, test_run};
pub use xdp::{Xdp, xdp_programs};
pub use xtables::{XtRules, Xtable};
pub use xtables_lock::XtablesLock;
