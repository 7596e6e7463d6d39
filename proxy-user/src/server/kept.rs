//! A server that has its port sooner or later: on a thread of its own, and tried again where it cannot listen.

use super::{http::HttpServer, listen::listen};
use hyper::{Request, Response, body::Incoming};
use rustix::io::Errno;
use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How a server behaves.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// How soon it is tried again to listen where that failed.
    pub retry: Duration,
    /// How often a trouble that lasts is news again.
    pub remind: Duration,
}

impl Default for ServerOptions {
    /// As often as kube-proxy tries it, which says so each time.
    fn default() -> Self {
        Self { retry: Duration::from_secs(5), remind: Duration::from_secs(600) }
    }
}

/// What has changed about a server, for logs and Events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerNews {
    /// It cannot listen on an address: told once, again when the error is another one, and now and then while it
    /// lasts.
    Failed {
        /// Which server: `healthz` or `metrics`.
        server: &'static str,
        /// Where it cannot listen; of two addresses the first one.
        address: SocketAddr,
        /// What the kernel said.
        error: Errno,
    },
    /// It listens everywhere after all.
    Mended {
        /// Which server.
        server: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
    },
}

impl fmt::Display for ServerNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { server, address, error } => {
                write!(f, "the {server} server cannot listen on {address}: {error}")
            }
            Self::Mended { server, address } => write!(f, "the {server} server listens on {address}"),
        }
    }
}

/// A server with its thread.
#[derive(Debug)]
pub(super) struct Kept {
    /// Dropped first, which ends the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Kept {
    /// Listens as soon as it can, in the network namespace of the calling thread. `name` is the server's and the
    /// thread's.
    ///
    /// # Errors
    /// Where a thread or its runtime cannot be made.
    pub fn start(
        name: &'static str,
        address: SocketAddr,
        options: ServerOptions,
        answer: impl Fn(&Request<Incoming>) -> Response<String> + Send + Sync + 'static,
        tell: impl FnMut(&ServerNews) + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let keeper = Keeper { name, address, options, tell, reported: None };
        let serve = move || runtime.block_on(keeper.run(Arc::new(answer), ended));
        let thread = thread::Builder::new().name(name.to_owned()).spawn(serve)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }

    /// Ends it; on return its port is free.
    pub fn close(self) {}
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.end = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of a server panicked");
        }
    }
}

struct Keeper<F> {
    name: &'static str,
    address: SocketAddr,
    options: ServerOptions,
    tell: F,
    /// What was told last, and when.
    reported: Option<(SocketAddr, Errno, Instant)>,
}

impl<F: FnMut(&ServerNews)> Keeper<F> {
    async fn run<A>(mut self, answer: Arc<A>, mut ended: oneshot::Receiver<()>)
    where
        A: Fn(&Request<Incoming>) -> Response<String> + Send + Sync + 'static,
    {
        let mut servers = BTreeMap::new();
        loop {
            let mut trouble = None;
            for address in sockets(self.address) {
                if servers.contains_key(&address) {
                    continue;
                }
                match listen(address) {
                    Ok(listener) => {
                        let answer = Arc::clone(&answer);
                        let server = HttpServer::start(listener, move |request| answer(request));
                        servers.insert(address, server);
                    }
                    // A kernel without IPv6 has no address on which one could ask.
                    Err(Errno::AFNOSUPPORT) if address.ip().is_unspecified() => {}
                    Err(error) => drop(trouble.get_or_insert((address, error))),
                }
            }
            self.report(trouble);
            let pause = async {
                match trouble {
                    Some(_) => tokio::time::sleep(self.options.retry).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = &mut ended => break,
                () = pause => {}
            }
        }
        for (_, server) in servers {
            server.close().await;
        }
    }

    /// Tells what is news.
    fn report(&mut self, trouble: Option<(SocketAddr, Errno)>) {
        let (server, now) = (self.name, Instant::now());
        match (trouble, self.reported) {
            (None, None) => {}
            (None, Some(_)) => {
                self.reported = None;
                (self.tell)(&ServerNews::Mended { server, address: self.address });
            }
            (Some((address, error)), known) => {
                let is_known = known.is_some_and(|(at, what, told)| {
                    (at, what) == (address, error) && now.duration_since(told) < self.options.remind
                });
                if !is_known {
                    self.reported = Some((address, error, now));
                    (self.tell)(&ServerNews::Failed { server, address, error });
                }
            }
        }
    }
}

/// The sockets that an address asks for. As in Go, where kube-proxy has its listeners from, an unspecified address
/// of either family means both.
fn sockets(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let both = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
    both.into_iter().map(|ip| SocketAddr::new(ip, address.port())).collect()
}
