//! What kube-proxy has in nf_tables, asked and heard by netlink (linux/netfilter/nf_tables.h): without a tool to
//! start for each question, and with the moment of a commit as the kernel reports it.

mod message;
mod socket;

pub use message::{Element, Message};
pub use socket::{Listener, count_services};
