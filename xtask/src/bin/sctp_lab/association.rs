//! An association of one-to-one sockets (RFC 6458, section 4): a client sends messages, a server sends them back.

use anyhow::{Context as _, Result, ensure};
use rustix::{
    io::{read, write},
    net::{
        AddressFamily, Shutdown, SocketFlags, SocketType, acceptfrom, bind, connect, getpeername, ipproto,
        listen, shutdown, socket_with,
        sockopt::{Timeout, set_socket_reuseaddr, set_socket_timeout},
    },
};
use shunt::lab::Namespace;
use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    thread,
    time::Duration,
};

/// How many messages a client sends.
pub const MESSAGES: usize = 100;

/// The longest is several packets long: that many bytes more than the one before it has each message.
const STEP: usize = 40;

/// Longest wait for the kernel to connect, accept, send or receive: some retransmissions.
const PATIENCE: Duration = Duration::from_secs(20);

/// What each side was told of the other.
pub struct Seen {
    /// The client, by getpeername(2) in the server.
    pub client: SocketAddr,
    /// The server, by getpeername(2) in the client.
    pub server: SocketAddr,
}

/// Lets a client in a namespace, bound to one address, associate with `target`, and a server accept it where it
/// listens: `target` is that address, or one of a Service that leads there. Both are bound to one address so
/// that INIT and INIT ACK list no others, which no translation would know about.
///
/// `after_each` is called after each message's echo.
///
/// # Errors
/// A system call fails or takes too long, an echo is not what was sent, or the server counts other messages.
pub fn associate(
    (client, address): (&Namespace, IpAddr),
    (server, listening): (&Namespace, SocketAddr),
    target: SocketAddr,
    mut after_each: impl FnMut() -> Result<()> + Send,
) -> Result<Seen> {
    // A socket stays in the namespace that it was made in.
    let listener = server.run(|| bound(listening))??;
    listen(&listener, 1).context("listen")?;
    let socket = client.run(|| bound(SocketAddr::new(address, 0)))??;
    thread::scope(|scope| {
        let echo = scope.spawn(|| serve(&listener));
        let sent = send_all(&socket, target, &mut after_each);
        let seen = echo.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (server, (client, served)) = (sent.context("client")?, seen.context("server")?);
        ensure!(served == MESSAGES, "the server received {served} messages of {MESSAGES}");
        Ok(Seen { client, server })
    })
}

fn bound(address: SocketAddr) -> Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::SCTP)).context("socket")?;
    limit(&socket)?;
    // The former association may still shut down.
    set_socket_reuseaddr(&socket, true).context("setsockopt(SO_REUSEADDR)")?;
    bind(&socket, &address).with_context(|| format!("bind({address})"))?;
    Ok(socket)
}

fn limit(socket: &OwnedFd) -> Result<()> {
    for timeout in [Timeout::Recv, Timeout::Send] {
        set_socket_timeout(socket, timeout, Some(PATIENCE))
            .context("setsockopt(SO_RCVTIMEO, SO_SNDTIMEO)")?;
    }
    Ok(())
}

/// The client: returns the peer's address.
fn send_all(
    socket: &OwnedFd,
    target: SocketAddr,
    after_each: &mut impl FnMut() -> Result<()>,
) -> Result<SocketAddr> {
    connect(socket, &target).context("connect")?;
    let peer = peer_of(socket)?;
    for number in 0..MESSAGES {
        let message: Vec<u8> = (0..=number * STEP).map(|byte| (byte ^ number) as u8).collect();
        let sent = write(socket, &message).with_context(|| format!("send(message {number})"))?;
        ensure!(sent == message.len(), "only {sent} bytes of {} were sent", message.len());
        let mut echo = vec![0; message.len()];
        let mut received = 0;
        // A message comes whole, unless it is longer than the receive buffer.
        while received < echo.len() {
            let more = read(socket, &mut echo[received..]).with_context(|| format!("recv(echo {number})"))?;
            ensure!(more > 0, "the server left before the echo of message {number}");
            received += more;
        }
        ensure!(echo == message, "the echo of message {number} is another");
        after_each()?;
    }
    shutdown(socket, Shutdown::Write).context("shutdown")?;
    Ok(peer)
}

/// The server of one client: returns the client's address, and how many messages it sent back.
fn serve(listener: &OwnedFd) -> Result<(SocketAddr, usize)> {
    let (socket, _) = acceptfrom(listener).context("accept")?;
    limit(&socket)?;
    let client = peer_of(&socket)?;
    let mut message = vec![0; MESSAGES * STEP];
    let mut served = 0;
    loop {
        let length = read(&socket, &mut message).context("recv")?;
        if length == 0 || served > MESSAGES {
            return Ok((client, served));
        }
        let sent = write(&socket, &message[..length]).context("send")?;
        ensure!(sent == length, "only {sent} bytes of {length} were sent back");
        served += 1;
    }
}

fn peer_of(socket: &OwnedFd) -> Result<SocketAddr> {
    let peer = getpeername(socket).context("getpeername")?.context("getpeername: no address")?;
    SocketAddr::try_from(peer).context("getpeername: no IP address")
}
