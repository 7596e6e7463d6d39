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
mod sums;
mod watcher;

use anyhow::{Context as _, Result, ensure};
use association::{MESSAGES, associate};
use shunt::lab::{Lab, Pod};
use std::net::{IpAddr, SocketAddr};
use sums::Sums;
use watcher::Watcher;

/// The port of the S1 application protocol, as good as any.
const PORT: u16 = 36412;

fn main() -> Result<()> {
    let lab = Lab::new(2)?;
    for sums in [Sums::Nobody, Sums::Sender, Sums::Node] {
        sums.set_up(&lab)?;
        for address in [|pod: &Pod| IpAddr::from(pod.ipv4()), |pod: &Pod| IpAddr::from(pod.ipv6())] {
            direct(&lab, address, sums).with_context(|| format!("checksums by {sums}"))?;
        }
    }
    Ok(())
}

/// An association with the server's own address.
fn direct(lab: &Lab, address: fn(&Pod) -> IpAddr, sums: Sums) -> Result<()> {
    let (client, server) = (lab.pod(0), lab.pod(1));
    let listen = SocketAddr::new(address(server), PORT);
    let mut watcher = Watcher::new(lab.node())?;
    let seen = associate((client, address(client)), (server, listen), listen, || watcher.look())
        .with_context(|| format!("association of {} with {listen}", address(client)))?;
    ensure!(seen.server == listen, "the client is told of {} and not of {listen}", seen.server);
    ensure!(seen.client.ip() == address(client), "the server is told of {}", seen.client);
    let (zero, computed) = watcher.packets();
    println!(
        "sctp {} to {}: {MESSAGES} messages and their echoes; checksums by {sums}: {zero} packets without, {computed} with",
        seen.client, seen.server
    );
    ensure!(sums.agree(zero, computed), "these are not checksums by {sums}");
    Ok(())
}
