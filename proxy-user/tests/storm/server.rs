//! A server that lists what it is given and then sends frames of slices when a test says so: threads and plain
//! sockets, so that it goes on while nobody reads.

use crate::{
    api::{CIDRS, NODES, SERVICES, SLICES},
    frames::{end_of_list, frame, slice},
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

/// Bytes of a chunk of a list.
const CHUNK: usize = 16 << 10;

pub struct Server {
    address: SocketAddr,
    watches: Receiver<TcpStream>,
}

/// The watch of slices, to be written to.
pub struct Watch(TcpStream);

impl Server {
    /// Lists these Services, and a slice of version 1 for each.
    pub fn start(services: &[(String, u32)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, (sender, watches)) = (listener.local_addr().unwrap(), channel());
        let all = services.iter().map(|(name, number)| crate::frames::service(name, *number).to_string());
        let end = end_of_list(1);
        let list = |objects: Vec<String>| {
            objects.iter().map(|object| frame("ADDED", object)).chain([end.clone()]).collect::<String>()
        };
        let lists = [
            (SERVICES, list(all.collect())),
            (SLICES, list(services.iter().map(|(name, _)| slice(name, 1)).collect())),
            (NODES, list(Vec::new())),
            (CIDRS, list(Vec::new())),
        ];
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, lists, sender) = (stream.unwrap(), lists.clone(), sender.clone());
                // A connection that breaks is the end of its test.
                thread::spawn(move || drop(answer(stream, &lists, &sender)));
            }
        });
        Self { address, watches }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the slices are watched.
    pub fn watch(&self) -> Watch {
        Watch(self.watches.recv().unwrap())
    }
}

impl Watch {
    pub fn send(&mut self, service: &str, version: u32) {
        let frame = frame("MODIFIED", &slice(service, version));
        self.0.write_all(chunk(frame.as_bytes()).as_slice()).unwrap();
    }
}

fn chunk(piece: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
}

fn answer(
    mut stream: TcpStream,
    lists: &[(&str, String)],
    watches: &Sender<TcpStream>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut request, mut line) = (String::new(), String::new());
    reader.read_line(&mut request)?;
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = request.split([' ', '?']).nth(1).unwrap_or_default();
    let Some((_, list)) = lists.iter().find(|(of, _)| *of == path) else {
        // Events, which nobody here reads.
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    };
    stream.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    for piece in list.as_bytes().chunks(CHUNK) {
        stream.write_all(&chunk(piece))?;
    }
    if path == SLICES {
        watches.send(stream.try_clone()?).map_err(std::io::Error::other)?;
    }
    // Until the client closes it.
    std::io::copy(&mut reader, &mut std::io::sink()).map(drop)
}
