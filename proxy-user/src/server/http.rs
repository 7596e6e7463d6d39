//! An HTTP/1 server on one listener: answers that are at hand, to clients that may be anybody.

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{collections::VecDeque, convert::Infallible, future::ready, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinHandle},
};

/// Connections at a time on one listener. Beyond it the oldest one goes: the newest asks now, and old ones are
/// idle, or never meant to ask.
const CONNECTIONS: usize = 128;

/// The longest that the head of a request may take, and that a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);

/// The longest head of a request, bytes.
const BUFFER: usize = 64 * 1_024;

/// After a failed accept(2), most likely for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// A server that runs on the current runtime until it is closed or dropped.
pub struct HttpServer(JoinHandle<()>);

impl HttpServer {
    /// Begins to answer requests, each by one call.
    pub fn start(
        listener: TcpListener,
        answer: impl Fn(&Request<Incoming>) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        Self(tokio::spawn(serve(listener, Arc::new(answer))))
    }

    /// Ends it; on return its port is free.
    pub async fn close(mut self) {
        self.0.abort();
        // Cancelled, unless it has panicked: it is gone either way.
        let _ = (&mut self.0).await;
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Open connections, the oldest first. They end with their server.
#[derive(Default)]
struct Connections(VecDeque<AbortHandle>);

impl Connections {
    fn add(&mut self, connection: AbortHandle) {
        if self.0.len() >= CONNECTIONS {
            self.0.retain(|known| !known.is_finished());
        }
        if self.0.len() >= CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

async fn serve<F>(listener: TcpListener, answer: Arc<F>)
where
    F: Fn(&Request<Incoming>) -> Response<String> + Send + Sync + 'static,
{
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = tokio::spawn(connection(stream, Arc::clone(&answer)));
                connections.add(connection.abort_handle());
            }
            Err(error) => {
                tracing::debug!("accept: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection<F>(stream: TcpStream, answer: Arc<F>)
where
    F: Fn(&Request<Incoming>) -> Response<String>,
{
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(&request))));
    let outcome = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        // As Go's server writes them, for clients that compare.
        .title_case_headers(true)
        // A client that has said all may close its side before it hears the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = outcome {
        tracing::trace!("a client's connection ended: {error}");
    }
}
