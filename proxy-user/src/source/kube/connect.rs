//! Options → a client for each API server. What needs `kube`: kubeconfig and in-cluster credentials, token files
//! (read again every minute), exec plugins, TLS.

use super::{error::KubeError, options::Options};
use http::Uri;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt},
    config::KubeConfigOptions,
};
use std::{path::PathBuf, time::Duration};
use tower::{BoxError, ServiceExt as _};

/// The longest that making a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection on which nothing is said is probed after so long, so often; the kernel gives it up where the server's
/// host does not answer. What a live host's dead server costs is bounded by the source's own patience.
const KEEPALIVE: Duration = Duration::from_secs(30);
const PROBES: u32 = 4;
/// The same for what was sent and not acknowledged (tcp(7), TCP_USER_TIMEOUT).
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// An answer is read in pieces of at most so many bytes: what is in flight is memory of the agent.
const BUFFER: usize = 64 << 10;

/// Where credentials and servers come from; they can be read again.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    api_servers: Vec<Uri>,
}

impl Origin {
    /// Checks what can be checked without reading anything.
    pub(super) fn of(options: &Options) -> Result<Self, KubeError> {
        let api_servers = options.api_servers.iter().map(|url| parse(url)).collect::<Result<_, _>>()?;
        let Options { kubeconfig, context, .. } = options.clone();
        Ok(Self { kubeconfig, context, api_servers })
    }

    /// The servers, in order; reads the credentials.
    pub(super) async fn servers(&self) -> Result<Vec<Uri>, KubeError> {
        if self.api_servers.is_empty() {
            Ok(vec![self.config().await?.cluster_url])
        } else {
            Ok(self.api_servers.clone())
        }
    }

    /// Whether the server is the one that the kubelet names to every pod: the ClusterIP of `default/kubernetes`, which
    /// somebody's service proxy must serve first.
    pub(super) const fn is_cluster_ip(&self) -> bool {
        self.kubeconfig.is_none() && self.api_servers.is_empty()
    }

    /// A client of a server. Reads the credentials, and runs an exec plugin where there is one.
    pub(super) async fn client(&self, server: &Uri) -> Result<Client, KubeError> {
        let mut config = self.config().await?;
        config.cluster_url = server.clone();
        let failed = |source| KubeError::Credentials { url: server.to_string(), source: Box::new(source) };
        if config.auth_info.exec.is_none() {
            return build(&config).map_err(failed);
        }
        // An exec plugin may take its time: the runtime's only thread must not wait for it.
        let client = tokio::task::spawn_blocking(move || build(&config)).await;
        client.map_err(KubeError::Thread)?.map_err(failed)
    }

    async fn config(&self) -> Result<Config, KubeError> {
        let Some(path) = &self.kubeconfig else {
            // Only without a server's own address is the one needed that the kubelet names.
            let config = if self.is_cluster_ip() { Config::incluster_env() } else { Config::incluster_dns() };
            return config.map_err(KubeError::InCluster);
        };
        let failed = |source| KubeError::Kubeconfig { path: path.clone(), source };
        let kubeconfig = kube::config::Kubeconfig::read_from(path).map_err(failed)?;
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        // One of the environment is for the world outside; the API server is near.
        let proxied = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
        let proxied = proxied.filter_map(|cluster| cluster.proxy_url.as_deref()).any(|url| !url.is_empty());
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?;
        match &config.proxy_url {
            Some(proxy) if proxied => Err(KubeError::Proxy(proxy.to_string())),
            _ => Ok(config),
        }
    }
}

fn parse(url: &str) -> Result<Uri, KubeError> {
    let uri: Uri = url.parse().map_err(|source| KubeError::Url { url: url.to_owned(), source })?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    // Credentials in it would not be used, and stand in every line that names the server.
    let bare = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if known && bare && uri.host().is_some() {
        Ok(uri)
    } else {
        Err(KubeError::NoServer { url: url.to_owned() })
    }
}

/// A client without `kube`'s own retries and log lines: both are the source's.
fn build(config: &Config) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_keepalive_interval(Some(KEEPALIVE));
    connector.set_keepalive_retries(Some(PROBES));
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let client: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(BUFFER)
        .build(connector);
    // Layers are added from the inside to the outside.
    let builder = ClientBuilder::new(client.map_err(BoxError::from), config.default_namespace.clone())
        .with_layer(&config.extra_headers_layer()?)
        .with_layer(&config.base_uri_layer());
    Ok(match config.auth_layer()? {
        Some(layer) => builder.with_layer(&layer).build(),
        None => builder.build(),
    })
}
