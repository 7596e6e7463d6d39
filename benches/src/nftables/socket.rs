//! Sockets of nf_tables, in the network namespace of the thread that opens them.

use super::message::{Element, Message, elements_of, messages};
use anyhow::{Context as _, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
        netlink::{NETFILTER, SocketAddrNetlink},
        recv, send, socket_with, sockopt,
    },
};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// kube-proxy's table, and its map of ClusterIP, protocol and port to the chain of a service port.
const TABLE: &str = "kube-proxy";
const SERVICES: &str = "service-ips";

/// NFNLGRP_NFTABLES, as a bit.
const GROUP: u32 = 1 << (7 - 1);

/// What the kernel may have to say about one commit.
const BUFFER: usize = 64 << 20;

/// The longest answer to a request.
const LIMIT: Duration = Duration::from_secs(60);

/// How many service ports kube-proxy has programmed whose chain has `text` in its name; 0 without its table.
///
/// # Errors
/// Of the calls of the socket, or where an answer takes longer than a minute.
pub fn count_services(text: &str) -> Result<usize> {
    let socket = open(0)?;
    send(&socket, &elements_of(TABLE, SERVICES, 1), SendFlags::empty())
        .context("send(NFT_MSG_GETSETELEM)")?;
    let (mut buffer, mut count, end) = (vec![0; 1 << 17], 0, Instant::now() + LIMIT);
    loop {
        let Some(length) = receive(&socket, &mut buffer, end.saturating_duration_since(Instant::now()))?
        else {
            bail!("nf_tables did not answer in {LIMIT:?}");
        };
        for message in messages(&buffer[..length]) {
            match message {
                Message::Elements(elements) => count += elements.iter().filter(|e| leads_to(e, text)).count(),
                Message::Done => return Ok(count),
                // ENOENT: nothing there yet. EINTR: it changed meanwhile, the next one sees it.
                Message::Failed(2 | 4) => return Ok(0),
                Message::Failed(error) => bail!("NFT_MSG_GETSETELEM: error {error}"),
                Message::Other => {}
            }
        }
    }
}

fn leads_to(element: &Element<'_>, text: &str) -> bool {
    let Element::Chain(name) = element else { return false };
    name.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Hears of commits, from when it is opened.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Listener {
    /// Opens it in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN.
    pub fn open() -> Result<Self> {
        let socket = open(GROUP)?;
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER).context("SO_RCVBUFFORCE")?;
        Ok(Self { socket, buffer: vec![0; 1 << 17] })
    }

    /// Waits for a notification, at most so long, and hands on the values of new elements of maps, with the moment it
    /// came. The kernel sends it at the end of a commit, when packets see the new rules already.
    ///
    /// # Errors
    /// ENOBUFS where one was lost.
    pub fn next(&mut self, limit: Duration, mut value: impl FnMut(&[u8], Instant)) -> Result<()> {
        let Some(length) = receive(&self.socket, &mut self.buffer, limit)? else { return Ok(()) };
        let now = Instant::now();
        for message in messages(&self.buffer[..length]) {
            let Message::Elements(elements) = message else { continue };
            for element in elements {
                if let Element::Value(bytes) = element {
                    value(bytes, now);
                }
            }
        }
        Ok(())
    }
}

fn open(groups: u32) -> Result<OwnedFd> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket =
        socket_with(family, kind, SocketFlags::CLOEXEC, Some(NETFILTER)).context("socket(NETLINK)")?;
    bind(&socket, &SocketAddrNetlink::new(0, groups)).context("bind(NETLINK_NETFILTER)")?;
    Ok(socket)
}

/// Length of the next datagram; `None` where none comes in time.
fn receive(socket: &OwnedFd, buffer: &mut [u8], limit: Duration) -> Result<Option<usize>> {
    let limit = Timespec::try_from(limit).context("a time limit")?;
    if poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&limit)).context("poll")? == 0 {
        return Ok(None);
    }
    let (length, whole) = recv(socket, &mut *buffer, RecvFlags::TRUNC).context("recv(NETLINK)")?;
    anyhow::ensure!(whole <= length, "a datagram of {whole} bytes was cut");
    Ok(Some(length))
}
