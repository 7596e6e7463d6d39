//! The fake API server's HTTP: lists, pages, watches, and what a script says instead.

use super::api::{Answer, Api};
use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    task::JoinHandle,
};

/// A server on 127.0.0.1; gone when dropped, with all of its connections.
pub struct Server {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub fn start(api: &Api) -> Self {
        Self::start_at(api, "127.0.0.1:0".parse().unwrap())
    }

    /// Also on a port that a former server had.
    pub fn start_at(api: &Api, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, task: tokio::spawn(serve(listener, api.clone())) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it and its connections; on return its port is free.
    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, api: Api) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let api = api.clone();
        connections.spawn(async move {
            let service = service_fn(|request| answer(api.clone(), request));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A body that is written as it goes; an error breaks the connection.
pub struct Stream(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|data| data.map(|data| data.map(Frame::data)))
    }
}

async fn answer(api: Api, request: Request<Incoming>) -> Result<Response<Stream>, io::Error> {
    let uri = request.uri().to_string();
    let path = request.uri().path().to_owned();
    let token = request.headers().get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    let scripted = {
        let mut state = api.state();
        state.requests.push((uri.clone(), token.clone()));
        if !state.tokens.is_empty() && !state.tokens.contains(&token) {
            Some(status(401, "Unauthorized"))
        } else {
            state.answers.get_mut(path.as_str()).and_then(std::collections::VecDeque::pop_front)
        }
    };
    let (sender, receiver) = mpsc::channel(16);
    let mut response = Response::new(Stream(receiver));
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    match scripted {
        None | Some(Answer::Proper) => proper(api, &path, &query(&uri), sender, &mut response),
        Some(Answer::Status(code, headers, body)) => {
            *response.status_mut() = code.try_into().unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            sender.try_send(Ok(body.into())).unwrap();
        }
        Some(Answer::Body(body)) => sender.try_send(Ok(body.into())).unwrap(),
        Some(Answer::Cut(body)) => {
            sender.try_send(Ok(body.into())).unwrap();
            sender.try_send(Err(io::Error::other("cut"))).unwrap();
        }
        Some(Answer::Stall(body)) => {
            sender.try_send(Ok(body.into())).unwrap();
            tokio::spawn(async move { sender.closed().await });
        }
        Some(Answer::Hang) => tokio::time::sleep(Duration::from_secs(3_600)).await,
        Some(Answer::Reset) => return Err(io::Error::other("reset")),
    }
    Ok(response)
}

/// A refusal as the API has it.
pub fn status(code: u16, message: &str) -> Answer {
    let body = json!({"kind": "Status", "status": "Failure", "code": code, "message": message});
    Answer::Status(code, vec![], body.to_string())
}

fn query(uri: &str) -> HashMap<String, String> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn proper(
    api: Api,
    path: &str,
    query: &HashMap<String, String>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    response: &mut Response<Stream>,
) {
    let is = |key: &str| query.get(key).is_some_and(|value| value == "true");
    let refuse = |response: &mut Response<Stream>, code: u16, message: &str| {
        let Answer::Status(code, _, body) = status(code, message) else { unreachable!() };
        *response.status_mut() = code.try_into().unwrap();
        sender.try_send(Ok(body.into())).unwrap();
    };
    let state = api.state();
    if is("sendInitialEvents") && !state.streaming {
        return refuse(response, 422, "sendInitialEvents is forbidden for watch");
    }
    let since = query.get("resourceVersion").map(|version| version.parse::<u64>().unwrap());
    if is("watch") {
        if !is("sendInitialEvents") && state.is_too_old(since.unwrap()) {
            return refuse(response, 410, "too old resource version");
        }
        let initial = is("sendInitialEvents").then(|| state.listed(path));
        let since = if initial.is_some() { state.version } else { since.unwrap() };
        let (ended, bookmarks) = (state.ended, state.bookmarks);
        drop(state);
        tokio::spawn(watch(api, path.to_owned(), initial, since, (ended, bookmarks), sender));
        return;
    }
    if let Some(since) = since.filter(|since| *since > state.version) {
        let message = format!("Too large resource version: {since}, current: {}", state.version);
        return refuse(response, 504, &message);
    }
    let objects = state.listed(path);
    let from: usize = query.get("continue").map_or(0, |token| token.parse().unwrap());
    let to = (from + state.page).min(objects.len());
    let mut metadata = json!({"resourceVersion": state.version.to_string()});
    if to < objects.len() {
        metadata["continue"] = json!(to.to_string());
    }
    let list = json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": objects[from..to]});
    sender.try_send(Ok(list.to_string().into())).unwrap();
}

async fn watch(
    api: Api,
    path: String,
    initial: Option<Vec<Value>>,
    mut since: u64,
    (ended, mut bookmarks): (u64, u64),
    sender: mpsc::Sender<io::Result<Bytes>>,
) {
    let mut changed = api.changed.subscribe();
    let mut frames = Vec::new();
    if let Some(objects) = initial {
        frames.extend(objects.iter().map(|object| json!({"type": "ADDED", "object": object})));
        frames.push(bookmark(since, true));
    }
    loop {
        for frame in frames.drain(..) {
            if sender.send(Ok(format!("{frame}\n").into())).await.is_err() {
                return;
            }
        }
        {
            let state = api.state();
            if state.ended != ended {
                return;
            }
            frames.extend(state.frames(&path, since));
            since = state.version;
            if state.bookmarks != bookmarks {
                bookmarks = state.bookmarks;
                frames.push(bookmark(since, false));
            }
        }
        if frames.is_empty() {
            tokio::select! {
                _ = changed.changed() => {}
                () = sender.closed() => return,
            }
        }
    }
}

fn bookmark(version: u64, initial_events_end: bool) -> Value {
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if initial_events_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    json!({"type": "BOOKMARK", "object": {"kind": "X", "metadata": metadata}})
}
