//! An API server that is never what is waited for: it has every list ready, and writes watch events as fast as they are
//! taken. It speaks HTTP/1.1 without TLS, and knows what an agent asks for and nothing else.

use super::feed::Feed;
use crate::{cluster::SampleCluster, objects};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shunt::lab::Namespace;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// The collection whose watches are fed.
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

/// The version of all lists.
const VERSION: u64 = 1_000;

/// How long the agent may take to ask for its slices.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server. Its threads end with the process.
pub struct Server {
    /// Where it listens: on the loopback of the node's namespace.
    pub address: SocketAddr,
    feeds: Receiver<TcpStream>,
}

/// What it lists, by path, each as the body of a watch that begins with a list.
struct Lists(Vec<(&'static str, Vec<u8>)>);

impl Server {
    /// Begins to answer on a node, with the objects of a cluster.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(node: &Namespace, cluster: &SampleCluster) -> Result<Self> {
        let listener = node.run(|| TcpListener::bind("127.0.0.1:0"))?.context("bind(127.0.0.1)")?;
        let address = listener.local_addr().context("getsockname")?;
        let (lists, (sender, feeds)) = (Arc::new(Lists::of(cluster)), channel());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lists, sender) = (Arc::clone(&lists), sender.clone());
                // A connection that breaks is the agent's to mend.
                thread::spawn(move || drop(answer(&stream, &lists, &sender)));
            }
        });
        Ok(Self { address, feeds })
    }

    /// Waits until the agent has its list of slices and follows them.
    ///
    /// # Errors
    /// Where it does not.
    pub fn feed(&self) -> Result<Feed> {
        let stream = self.feeds.recv_timeout(PATIENCE).context("the agent does not ask for slices")?;
        Ok(Feed::new(stream, VERSION))
    }
}

impl Lists {
    fn of(cluster: &SampleCluster) -> Self {
        let all = 0..cluster.services();
        let services = all.clone().map(|number| {
            let (_, mut object) = objects::service(&cluster.service(number));
            object["spec"]["clusterIP"] = json!(cluster.cluster_ip(number).to_string());
            object["spec"]["type"] = json!("ClusterIP");
            object
        });
        let slices = all.map(|number| objects::slice(&cluster.slice_with(number, 0), None).1);
        Self(vec![
            ("/api/v1/services", list(services)),
            (SLICES, list(slices)),
            ("/api/v1/nodes", list(std::iter::once(objects::node(crate::cluster::NODE, "10.9.0.2")))),
            ("/apis/networking.k8s.io/v1/servicecidrs", list(std::iter::empty())),
        ])
    }
}

/// The frames of a list that streams, and the bookmark that ends it.
fn list(objects: impl Iterator<Item = Value>) -> Vec<u8> {
    let mut frames = Vec::new();
    for mut object in objects {
        object["metadata"]["resourceVersion"] = json!("1");
        frames.extend_from_slice(format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n").as_bytes());
    }
    let end = json!({
        "kind": "X",
        "metadata": {
            "resourceVersion": VERSION.to_string(), "annotations": {"k8s.io/initial-events-end": "true"},
        },
    });
    frames.extend_from_slice(format!("{{\"type\":\"BOOKMARK\",\"object\":{end}}}\n").as_bytes());
    frames
}

/// Answers the requests of a connection, until one is a watch, which takes it over.
fn answer(stream: &TcpStream, lists: &Lists, feeds: &Sender<TcpStream>) -> Result<()> {
    stream.set_nodelay(true).context("TCP_NODELAY")?;
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let (mut request, mut length) = (String::new(), 0);
        reader.read_line(&mut request)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink())?;
        let mut words = request.split(' ');
        let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let found = lists.0.iter().find(|(of, _)| *of == path);
        if let (Some((_, list)), true) = (found, query.contains("sendInitialEvents=true")) {
            writer.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
            )?;
            for piece in list.chunks(32 << 10) {
                chunk(&mut writer, piece)?;
            }
            if path == SLICES {
                feeds.send(stream.try_clone()?)?;
            }
            // Until the agent closes it.
            std::io::copy(&mut reader, &mut std::io::sink())?;
            return Ok(());
        }
        // Events are taken, whatever they say; nothing else is asked for.
        let status = if method == "POST" { "201 Created" } else { "404 Not Found" };
        let answer =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}");
        writer.write_all(answer.as_bytes())?;
    }
}

/// Writes a chunk of a body by one call.
pub fn chunk(writer: &mut impl Write, piece: &[u8]) -> std::io::Result<()> {
    let mut framed = format!("{:x}\r\n", piece.len()).into_bytes();
    framed.extend_from_slice(piece);
    framed.extend_from_slice(b"\r\n");
    writer.write_all(&framed)
}
