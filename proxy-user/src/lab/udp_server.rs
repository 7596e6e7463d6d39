//! A UDP server that answers every datagram with its name.

use super::{
    LabError, Place,
    reply::{self, check_name},
    worker::Worker,
};
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many datagrams are answered between two looks at the stop signal.
const BATCH: usize = 64;

/// No datagram is larger: 16 bits tell its length.
const LARGEST: usize = 65_535;

/// Answers each datagram with its own name and the client's address: `name client-ip:port\n`.
/// Ends at once when it is dropped.
#[derive(Debug)]
pub struct UdpServer {
    name: String,
    address: SocketAddr,
    served: Arc<AtomicU64>,
    worker: Worker,
}

impl UdpServer {
    /// Starts a server whose socket belongs to `place`. Port 0 takes a free port. Bound to an unspecified
    /// address it answers from whichever address the route back prefers, as any such server does.
    ///
    /// # Errors
    /// If the place cannot be entered, the address not be bound, or the name is not one word.
    pub fn start(place: impl Into<Place>, name: &str, address: SocketAddr) -> Result<Self, LabError> {
        Self::start_mode(&place.into(), name, address, false)
    }

    /// Starts a server whose answers are as long as the questions: its line, and behind it what the question
    /// has there. A question of up to 65,507 bytes (IPv4) comes and goes in fragments.
    ///
    /// # Errors
    /// See [`UdpServer::start`].
    pub fn start_echo(place: impl Into<Place>, name: &str, address: SocketAddr) -> Result<Self, LabError> {
        Self::start_mode(&place.into(), name, address, true)
    }

    fn start_mode(place: &Place, name: &str, address: SocketAddr, echo: bool) -> Result<Self, LabError> {
        check_name(name)?;
        let fail = |call| move |error| LabError::new(call, format_args!("UDP {address}"), error);
        let socket = place.run(|| UdpSocket::bind(address))?.map_err(fail("bind"))?;
        let address = socket.local_addr().map_err(fail("getsockname"))?;
        socket.set_nonblocking(true).map_err(fail("ioctl"))?;
        let served = Arc::new(AtomicU64::new(0));
        let (own_name, count) = (name.to_owned(), Arc::clone(&served));
        let worker = Worker::start(move |stop| serve(&socket, stop, &own_name, &count, echo))
            .map_err(fail("clone"))?;
        Ok(Self { name: name.to_owned(), address, served, worker })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many datagrams it has answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Closes the socket and ends the thread; both are done on return.
    pub fn stop(&mut self) {
        self.worker.stop();
    }
}

fn serve(socket: &UdpSocket, stop: &OwnedFd, name: &str, served: &AtomicU64, echo: bool) -> io::Result<()> {
    // The question's content does not matter unless it goes back: what is longer is cut.
    let mut buffer = vec![0; if echo { LARGEST } else { 64 }];
    loop {
        let mut ready = [PollFd::new(socket, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !ready[1].revents().is_empty() {
            return Ok(());
        }
        for _ in 0..BATCH {
            let Ok((count, client)) = socket.recv_from(&mut buffer) else { break };
            let mut answer = reply::line(name, client);
            if echo {
                answer.extend(buffer[..count].iter().skip(answer.len()));
            }
            // Counted first: whoever has the answer finds it counted.
            served.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = socket.send_to(&answer, client) {
                served.fetch_sub(1, Ordering::Relaxed);
                tracing::debug!(%client, %error, "a lab server cannot answer");
            }
        }
    }
}
