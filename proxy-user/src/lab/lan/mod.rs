//! Nodes on a local network, for traffic that crosses it: clients outside, a router with a wide area link
//! behind it, and pods connected as real CNIs do it.
//!
//! ```text
//!                far client   198.51.100.100   2001:db8:2::100
//!                    │
//!                  edge
//!                    │ wan (its MTU can be changed)
//!   client         router
//!  192.0.2.100    192.0.2.1
//!  2001:db8:1::100   │
//!     └──────────────┴──── switch ─────┬──────────────────────┐
//!                                  192.0.2.11             192.0.2.12
//!                               2001:db8:1::11         2001:db8:1::12
//!                                   node 0  ─ flannel.1 ─  node 1        `Overlay::Vxlan`, or plain routes
//!                                 │      │
//!                          cni0 (bridge) cali1…
//!                       10.244.1.0/24    10.245.1.0/24
//!                 fd00:10:244:1::/64     fd00:10:245:1::/64
//! ```
//!
//! Every line is a veth pair, every name a network namespace, and none of them has a route out: the
//! router knows the networks outside and refuses the rest, the pods' too: nothing is masqueraded, so what a
//! pod sends there in its own name gets no answer, unless a test adds the route.
//!
//! ```no_run
//! use shunt::lab::{TcpServer, lan::{Lan, Options}, tcp_ask};
//! use std::{net::SocketAddr, time::Duration};
//!
//! let lan = Lan::new(&Options::default())?;
//! let web = lan.node(1).add_pod("web")?; // by /usr/lib/cni/bridge
//! let server = TcpServer::start(&web, "web", SocketAddr::new(web.ipv4().into(), 8080))?;
//! lan.client().add_route(web.ipv4().into(), 32, Some(lan.node(0).ipv4().into()), "eth0")?;
//! let reply = lan.client().run(|| tcp_ask(server.address(), Duration::from_secs(1)))??;
//! assert_eq!(reply.seen_client.ip(), lan.client().ipv4());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod addresses;
mod cni;
mod frames;
mod host;
mod node;
mod overlay;
mod pod;
mod routed;
mod switch;
mod topology;
mod tunnel;
mod wan;

pub use frames::Frames;
pub use host::Host;
pub use node::{Node, RpFilter};
pub use overlay::Overlay;
pub use pod::Pod;
pub use topology::{Lan, Options};
pub use tunnel::Tunnel;
pub use wan::Wan;
