//! Why no source could be made of the options.

use std::path::PathBuf;

/// Why the API server cannot be asked.
#[derive(thiserror::Error, Debug)]
pub enum KubeError {
    /// No kubeconfig is given, and the pod has no credentials.
    #[error("no --kubeconfig is given, and the credentials of the pod cannot be used: {0}")]
    InCluster(#[source] kube::config::InClusterError),
    /// The kubeconfig cannot be used.
    #[error("kubeconfig {}: {source}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: kube::config::KubeconfigError,
    },
    /// An API server's URL cannot be used.
    #[error("API server {url:?}: {source}")]
    Url {
        /// The URL, as given.
        url: String,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// A URL names no server.
    #[error("API server {url:?}: it must be https://HOST:PORT or http://HOST:PORT")]
    NoServer {
        /// The URL, as given.
        url: String,
    },
    /// The kubeconfig, or the environment, has a proxy between us and the API server.
    #[error("proxies before the API server are not supported ({0})")]
    Proxy(String),
    /// Certificates, token or exec plugin cannot be used.
    #[error("credentials for {url}: {source}")]
    Credentials {
        /// The API server.
        url: String,
        /// What is wrong with them.
        source: Box<kube::Error>,
    },
    /// No node is named.
    #[error("the name of this node is empty")]
    NoNode,
    /// The thread that reads credentials failed.
    #[error("reading credentials: {0}")]
    Thread(#[source] tokio::task::JoinError),
}
