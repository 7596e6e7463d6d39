//! A TCP server that greets every connection with its name: one thread, any number of connections.

use super::{
    LabError, Place,
    reply::{self, check_name},
    worker::Worker,
};
use rustix::{
    event::epoll::{self, EventData, EventFlags},
    net::listen,
};
use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// The longest queue of connections not yet accepted; the kernel cuts it to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// How many connections are accepted between two looks at everything else.
const BATCH: usize = 64;

/// How long an echo server waits for a client to leave when it can accept no more.
const ACCEPT_PAUSE: Duration = Duration::from_millis(1);

/// What epoll hands back for the two files that are not connections.
const LISTENER: u64 = 0;
const STOP: u64 = 1;

/// Greets each connection with its own name and the client's address: `name client-ip:port\n`. Ends at
/// once when it is dropped, and its connections with it.
#[derive(Debug)]
pub struct TcpServer {
    name: String,
    address: SocketAddr,
    served: Arc<AtomicU64>,
    worker: Worker,
}

impl TcpServer {
    /// Starts a server that says its line and closes. Its sockets belong to `place`. Port 0 takes a free
    /// port.
    ///
    /// # Errors
    /// If the place cannot be entered, the address not be bound, or the name is not one word.
    pub fn start(place: impl Into<Place>, name: &str, address: SocketAddr) -> Result<Self, LabError> {
        Self::start_mode(&place.into(), name, address, false)
    }

    /// Starts a server that says its line and then sends back whatever it is sent, until the client closes.
    ///
    /// # Errors
    /// See [`TcpServer::start`].
    pub fn start_echo(place: impl Into<Place>, name: &str, address: SocketAddr) -> Result<Self, LabError> {
        Self::start_mode(&place.into(), name, address, true)
    }

    fn start_mode(place: &Place, name: &str, address: SocketAddr, echo: bool) -> Result<Self, LabError> {
        check_name(name)?;
        let fail = |call| move |error| LabError::new(call, format_args!("TCP {address}"), error);
        let listener = place.run(|| TcpListener::bind(address))?.map_err(fail("bind"))?;
        let address = listener.local_addr().map_err(fail("getsockname"))?;
        listen(&listener, BACKLOG).map_err(io::Error::from).map_err(fail("listen"))?;
        listener.set_nonblocking(true).map_err(fail("ioctl"))?;
        let served = Arc::new(AtomicU64::new(0));
        let server = Server {
            name: name.to_owned(),
            echo,
            served: Arc::clone(&served),
            listener,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)
                .map_err(io::Error::from)
                .map_err(fail("epoll_create1"))?,
            connections: HashMap::new(),
            next: STOP + 1,
        };
        let worker = Worker::start(move |stop| server.serve(stop)).map_err(fail("clone"))?;
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

    /// How many connections it has greeted.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Closes every socket and ends the thread; both are done on return.
    pub fn stop(&mut self) {
        self.worker.stop();
    }
}

/// The server's thread.
struct Server {
    name: String,
    echo: bool,
    served: Arc<AtomicU64>,
    listener: TcpListener,
    epoll: OwnedFd,
    connections: HashMap<u64, Connection>,
    next: u64,
}

/// A greeted connection.
struct Connection {
    stream: TcpStream,
    /// Read but not yet sent back; while there is any, nothing more is read.
    pending: Vec<u8>,
}

impl Server {
    fn serve(mut self, stop: &OwnedFd) -> io::Result<()> {
        epoll::add(&self.epoll, &self.listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&self.epoll, stop, EventData::new_u64(STOP), EventFlags::IN)?;
        let mut events = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    STOP => return Ok(()),
                    token => self.attend(token),
                }
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..BATCH {
            match self.listener.accept() {
                Ok((stream, client)) => {
                    if let Err(error) = self.greet(stream, client) {
                        tracing::debug!(server = self.name, %client, %error, "a connection was lost");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.accept_failed(&error),
            }
        }
    }

    /// Out of file descriptors, mostly: the connection stays in the queue, and epoll reports it again.
    fn accept_failed(&mut self, error: &io::Error) {
        tracing::debug!(server = self.name, %error, "a connection cannot be accepted");
        if self.echo {
            thread::sleep(ACCEPT_PAUSE);
        } else {
            // These have their answer; what they still hold is only the wait for the client's end.
            self.connections.clear();
        }
    }

    fn greet(&mut self, mut stream: TcpStream, client: SocketAddr) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        // Counted first: whoever has the answer finds it counted. It fits an empty send buffer.
        self.served.fetch_add(1, Ordering::Relaxed);
        stream.write_all(&reply::line(&self.name, client)).inspect_err(|_| {
            self.served.fetch_sub(1, Ordering::Relaxed);
        })?;
        if !self.echo {
            // Only half closed: close(2) with unread bytes in the queue sends a reset, which may overtake
            // the line.
            stream.shutdown(Shutdown::Write)?;
        }
        epoll::add(&self.epoll, &stream, EventData::new_u64(self.next), EventFlags::IN)?;
        self.connections.insert(self.next, Connection { stream, pending: Vec::new() });
        self.next += 1;
        Ok(())
    }

    /// Goes on with a connection; drops it when the client has closed it or it failed.
    fn attend(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let had_pending = !connection.pending.is_empty();
        let open = if self.echo { connection.echo() } else { connection.drain() };
        let has_pending = !connection.pending.is_empty();
        let open = open.and_then(|open| {
            if had_pending != has_pending {
                let flags = if has_pending { EventFlags::OUT } else { EventFlags::IN };
                epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(token), flags)?;
            }
            Ok(open)
        });
        if !open.unwrap_or(false) {
            self.connections.remove(&token);
        }
    }
}

impl Connection {
    /// Throws away what the client sends; false once it has closed.
    fn drain(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        unless_blocked(self.stream.read(&mut buffer), true, |count| count > 0)
    }

    /// Sends back what the client sends; false once it has closed.
    fn echo(&mut self) -> io::Result<bool> {
        if self.pending.is_empty() {
            let mut buffer = [0; 16 * 1024];
            let open = unless_blocked(self.stream.read(&mut buffer), true, |count| {
                self.pending.extend_from_slice(&buffer[..count]);
                count > 0
            })?;
            if !open {
                return Ok(false);
            }
        }
        let sent = unless_blocked(self.stream.write(&self.pending), 0, |count| count)?;
        self.pending.drain(..sent);
        Ok(true)
    }
}

fn unless_blocked<T>(result: io::Result<usize>, blocked: T, done: impl FnOnce(usize) -> T) -> io::Result<T> {
    match result {
        Ok(count) => Ok(done(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(blocked)
        }
        Err(error) => Err(error),
    }
}
