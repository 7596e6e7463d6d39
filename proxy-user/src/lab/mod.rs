//! A laboratory for the demo, the tests and the benches: network namespaces, veth pairs, child
//! cgroups, a private bpffs, and small servers that answer with their own name. Everything is made
//! from Rust, nothing outside is run, and all of it is gone once the values are dropped.
//!
//! No packet leaves: a lab's namespaces are joined only to each other, none to the host's.
//!
//! ```no_run
//! use shunt::lab::{Cgroup, Lab, TcpServer, tcp_ask};
//! use std::{net::SocketAddr, time::Duration};
//!
//! let lab = Lab::new(2)?;
//! let address = SocketAddr::new(lab.pod(1).ipv4().into(), 8080);
//! let server = TcpServer::start(lab.pod(1), "web-1", address)?;
//! let cgroup = Cgroup::new()?; // attach the programs to cgroup.path() …
//! let reply = cgroup.run_in(lab.pod(0), || tcp_ask(address, Duration::from_secs(1)))??;
//! assert_eq!(reply.name, "web-1");
//! assert_eq!(server.served(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A socket belongs for life to the network namespace and the cgroup of the thread that made it,
//! whichever thread uses it later. The cgroups here are *threaded* (cgroup-v2.rst, "Threads"), so
//! that one thread of a test can join; checked on Linux 6.18: a cgroup/connect4 program of a
//! threaded child decides about sockets of that thread and of no other.
//!
//! Its functions block; they may be called from within an async runtime's blocking section too,
//! because the netlink work happens on threads of its own.

#![deny(unsafe_code)]

mod available;
mod bpffs;
mod cgroup;
mod cgroup_path;
mod client;
pub mod control_plane;
mod devices;
mod error;
pub mod lan;
mod links;
mod namespace;
mod netlink;
mod network;
mod offload;
mod own_name;
mod path_mtu;
mod ping;
mod place;
mod process;
mod program;
mod reply;
mod scratch;
mod settle;
mod sweep;
#[allow(unsafe_code)] // unshare(2), ioctl(2) and what runs between fork(2) and execve(2)
mod sys;
mod tally;
mod tcp_server;
mod tun;
mod udp_client;
mod udp_server;
mod worker;

pub use available::available;
pub use bpffs::Bpffs;
pub use cgroup::Cgroup;
pub use client::{TcpSession, tcp_ask, tcp_ask_many};
pub use error::LabError;
pub use links::Mac;
pub use namespace::Namespace;
pub use network::{Lab, Node, Pod};
pub use path_mtu::{MtuProbe, probe_path_mtu};
pub use ping::ping;
pub use place::Place;
pub use process::Process;
pub use program::{Program, run};
pub use reply::Reply;
pub use scratch::Scratch;
pub use sweep::sweep;
pub use tally::Tally;
pub use tcp_server::TcpServer;
pub use udp_client::{UdpAsker, udp_ask_connected, udp_ask_many};
pub use udp_server::UdpServer;
