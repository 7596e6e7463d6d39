//! SCTP associations between network namespaces. Few machines that build Shunt have SCTP sockets; Debian's
//! kernels do, in the virtual machines of `cargo xtask kernels --sctp`, which runs this.
//!
//! ```text
//!   client ────── node ────── server      veth pairs; the node forwards
//! 10.244.0.11              10.244.0.12
//! ```
//!
//! One line for each association that went well; the first that does not ends it, with exit code 1.

mod association;
mod service;
mod sums;
mod watcher;

use anyhow::{Context as _, Result, ensure};
use association::{MESSAGES, associate};
use service::{Agent, NODE_PORT};
use shunt::lab::{Lab, Node, Pod};
use std::net::{IpAddr, SocketAddr};
use sums::Sums;
use watcher::Watcher;

/// The port of the S1 application protocol, as good as any.
const PORT: u16 = 36412;

fn main() -> Result<()> {
    let lab = Lab::new(2)?;
    for agent in [false, true] {
        let running = agent.then(|| Agent::start(&lab, PORT)).transpose()?;
        for sums in [Sums::Nobody, Sums::Sender, Sums::Node] {
            sums.set_up(&lab)?;
            for family in [V4, V6] {
                let (target, port) = if agent {
                    ((family.node)(lab.node()), NODE_PORT)
                } else {
                    ((family.pod)(lab.pod(1)), PORT)
                };
                try_association(&lab, family, SocketAddr::new(target, port), sums)
                    .with_context(|| format!("checksums by {sums}"))
                    .inspect_err(|_| running.iter().for_each(|agent| eprint!("{}", agent.log())))?;
            }
        }
    }
    Ok(())
}

/// Whose address is which.
#[derive(Clone, Copy)]
struct Family {
    node: fn(&Node) -> IpAddr,
    pod: fn(&Pod) -> IpAddr,
}

const V4: Family = Family { node: |node| node.ipv4().into(), pod: |pod| pod.ipv4().into() };
const V6: Family = Family { node: |node| node.ipv6().into(), pod: |pod| pod.ipv6().into() };

/// An association with `target`, which is the server's own address or leads there. Each side is told the other's
/// address as it is: the endpoint is on the node, so only the destination is translated.
fn try_association(lab: &Lab, family: Family, target: SocketAddr, sums: Sums) -> Result<()> {
    let (client, server) = (lab.pod(0), lab.pod(1));
    let address = (family.pod)(client);
    let listen = SocketAddr::new((family.pod)(server), PORT);
    let mut watcher = Watcher::new(lab.node())?;
    let seen = associate((client, address), (server, listen), target, || watcher.look())
        .with_context(|| format!("association of {address} with {target}"))?;
    ensure!(seen.server == target, "the client is told of {} and not of {target}", seen.server);
    ensure!(seen.client.ip() == address, "the server is told of {}", seen.client);
    let (zero, computed) = watcher.packets();
    println!(
        "sctp {} to {}: {MESSAGES} messages and their echoes; checksums by {sums}: {zero} packets without, {computed} with",
        seen.client, seen.server
    );
    ensure!(sums.agree(zero, computed), "these are not checksums by {sums}");
    Ok(())
}
