//! The pods' servers: one thread with epoll for all of them, so that thousands of connections in a second leave the
//! machine to those who are tested.

use rustix::{
    buffer::spare_capacity,
    event::{
        EventfdFlags,
        epoll::{self, EventData, EventFlags},
        eventfd,
    },
    io::{read, write},
};
use shunt::lab::Place;
use slab::Slab;
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

/// A question is a number that the client made up, and room for the answer.
pub const MESSAGE: usize = 16;

/// Who listens at a port: what it answers with, behind the number that it was asked with.
pub type Id = u64;

const BATCH: usize = 256;
const BACKLOG: i32 = 4096;

/// What epoll reports a command by; others are the keys of what is served.
const COMMAND: u64 = u64::MAX;

enum Served {
    Listener(Id, TcpListener),
    Datagrams(Id, UdpSocket),
    Stream(Id, TcpStream, Vec<u8>),
}

enum Command {
    Open(Id, TcpListener, UdpSocket),
    /// Answered once every connection that was in the queue is accepted and the sockets are closed.
    Close(Id, mpsc::Sender<()>),
    End,
}

/// The servers of all pods. Dropping it ends them, and every connection.
pub struct Servers {
    commands: mpsc::Sender<Command>,
    bell: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Servers {
    pub fn start() -> Self {
        let (commands, received) = mpsc::channel();
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap());
        let heard = Arc::clone(&bell);
        let thread = thread::spawn(move || Server::new(heard, received).serve());
        Self { commands, bell, thread: Some(thread) }
    }

    /// Listens at an address of a place over TCP and UDP.
    pub fn open(&self, place: &Place, address: SocketAddr, id: Id) {
        let bind = || (TcpListener::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
        let (listener, datagrams) = place.run(bind).unwrap();
        rustix::net::listen(&listener, BACKLOG).unwrap();
        listener.set_nonblocking(true).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        self.tell(Command::Open(id, listener, datagrams));
    }

    /// Listens no more; connections go on.
    pub fn close(&self, id: Id) {
        let (done, closed) = mpsc::channel();
        self.tell(Command::Close(id, done));
        closed.recv().unwrap();
    }

    fn tell(&self, command: Command) {
        self.commands.send(command).unwrap();
        write(&self.bell, &1_u64.to_ne_bytes()).unwrap();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if self.commands.send(Command::End).is_ok() {
            let _ = write(&self.bell, &1_u64.to_ne_bytes());
        }
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))), "the servers panicked");
    }
}

struct Server {
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
    commands: mpsc::Receiver<Command>,
    served: Slab<Served>,
}

impl Server {
    fn new(bell: Arc<OwnedFd>, commands: mpsc::Receiver<Command>) -> Self {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        epoll::add(&epoll, &bell, EventData::new_u64(COMMAND), EventFlags::IN).unwrap();
        Self { epoll, bell, commands, served: Slab::new() }
    }

    fn serve(mut self) {
        let mut events = Vec::with_capacity(BATCH);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("epoll_wait: {error}"),
            }
            for event in &events {
                match event.data.u64() {
                    COMMAND => {
                        if !self.obey() {
                            return;
                        }
                    }
                    key => self.attend(key as usize),
                }
            }
        }
    }

    /// False once it is to end.
    fn obey(&mut self) -> bool {
        let _ = read(&self.bell, &mut [0_u8; 8]);
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Open(id, listener, datagrams) => {
                    self.add(Served::Listener(id, listener));
                    self.add(Served::Datagrams(id, datagrams));
                }
                Command::Close(id, done) => {
                    let closes = |served: &Served| matches!(served, Served::Listener(of, _) | Served::Datagrams(of, _) if *of == id);
                    let keys: Vec<_> =
                        self.served.iter().filter(|(_, s)| closes(s)).map(|(key, _)| key).collect();
                    for key in keys {
                        self.attend(key);
                        self.served.remove(key);
                    }
                    let _ = done.send(());
                }
                Command::End => return false,
            }
        }
        true
    }

    fn add(&mut self, served: Served) {
        let entry = self.served.vacant_entry();
        let (data, fd) = (EventData::new_u64(entry.key() as u64), served.as_fd());
        epoll::add(&self.epoll, fd, data, EventFlags::IN).unwrap();
        entry.insert(served);
    }

    fn attend(&mut self, key: usize) {
        let mut accepted = Vec::new();
        // One that was removed by an earlier event of the same batch.
        let Some(served) = self.served.get_mut(key) else { return };
        let goes_on = match served {
            Served::Listener(id, listener) => {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).unwrap();
                    accepted.push(Served::Stream(*id, stream, Vec::new()));
                }
                true
            }
            Served::Datagrams(id, socket) => {
                let mut buffer = [0; MESSAGE];
                while let Ok((MESSAGE, client)) = socket.recv_from(&mut buffer) {
                    answer(&mut buffer, *id);
                    let _ = socket.send_to(&buffer, client);
                }
                true
            }
            Served::Stream(id, stream, partial) => converse(*id, stream, partial).unwrap_or(false),
        };
        if !goes_on {
            self.served.remove(key);
        }
        for stream in accepted {
            self.add(stream);
        }
    }
}

fn answer(message: &mut [u8], id: Id) {
    message[MESSAGE / 2..].copy_from_slice(&id.to_le_bytes());
}

/// Answers what is asked; false once the client has closed.
fn converse(id: Id, stream: &mut TcpStream, partial: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 * MESSAGE];
    let count = match stream.read(&mut buffer) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
        Err(error) => return Err(error),
    };
    partial.extend_from_slice(&buffer[..count]);
    let whole = partial.len() / MESSAGE * MESSAGE;
    partial[..whole].chunks_mut(MESSAGE).for_each(|message| answer(message, id));
    // Sixteen bytes at a time for a client that waits for each: they fit the send buffer.
    stream.write_all(&partial[..whole])?;
    partial.drain(..whole);
    Ok(count > 0)
}

impl AsFd for Served {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Listener(_, socket) => socket.as_fd(),
            Self::Datagrams(_, socket) => socket.as_fd(),
            Self::Stream(_, socket, _) => socket.as_fd(),
        }
    }
}
