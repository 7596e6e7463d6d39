//! What is asked of the API server: the query strings of lists and watches.

use super::kind::{Kind, Selectors};
use std::{fmt::Write as _, time::Duration};

/// Objects of one page. What client-go asks for, so that the server's cost is known.
const PAGE: u32 = 500;

/// A request for objects of one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// A watch that begins with all objects, from the server's cache, and goes on with changes (KEP-3157).
    StreamingList {
        /// The server ends it after so long.
        timeout: Duration,
    },
    /// All objects. Out of its cache most servers send them all at once and ignore the limit.
    FirstPage {
        /// Which state of them will do.
        state: State,
    },
    /// The page after another, by the token that one ended with.
    NextPage {
        /// The token.
        token: String,
    },
    /// Changes since a resource version.
    Watch {
        /// The version.
        version: String,
        /// The server ends it after so long.
        timeout: Duration,
    },
}

/// Which state of the objects a list may show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Whatever the server's cache has.
    Any,
    /// What it has at this version or later: another server may lag behind the one that was asked before, and to
    /// believe it would bring back what is gone.
    Since(String),
    /// The newest, from etcd if need be: a server that cannot reach that version may never do, as after a restored backup.
    Newest,
}

impl Request {
    /// Whether the answer is a stream of watch events, rather than a list.
    pub(super) const fn is_stream(&self) -> bool {
        matches!(self, Self::StreamingList { .. } | Self::Watch { .. })
    }

    /// Path and query.
    pub(super) fn uri(&self, kind: Kind, node: &str) -> String {
        let mut uri = String::with_capacity(256);
        uri.push_str(kind.path());
        let mut separator = '?';
        let mut add = |key: &str, value: &str| {
            uri.push(separator);
            uri.push_str(key);
            uri.push('=');
            escape(&mut uri, value);
            separator = '&';
        };
        let Selectors { labels, fields } = kind.selectors(node);
        if !labels.is_empty() {
            add("labelSelector", labels);
        }
        if !fields.is_empty() {
            add("fieldSelector", &fields);
        }
        match self {
            Self::StreamingList { timeout } => {
                add("watch", "true");
                add("sendInitialEvents", "true");
                add("resourceVersionMatch", "NotOlderThan");
                add("allowWatchBookmarks", "true");
                add("timeoutSeconds", &timeout.as_secs().max(1).to_string());
            }
            Self::FirstPage { state } => {
                add("limit", &PAGE.to_string());
                match state {
                    State::Any => add("resourceVersion", "0"),
                    State::Since(version) => {
                        add("resourceVersion", version);
                        add("resourceVersionMatch", "NotOlderThan");
                    }
                    State::Newest => {}
                }
            }
            Self::NextPage { token } => {
                add("limit", &PAGE.to_string());
                add("continue", token);
            }
            Self::Watch { version, timeout } => {
                add("watch", "true");
                add("resourceVersion", version);
                add("allowWatchBookmarks", "true");
                add("timeoutSeconds", &timeout.as_secs().max(1).to_string());
            }
        }
        uri
    }
}

/// Percent-encodes what is not unreserved in a query (RFC 3986).
fn escape(uri: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            uri.push(byte.into());
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_kube_proxy() {
        let timeout = Duration::from_secs(333);
        let services = "/api/v1/services?labelSelector=%21service.kubernetes.io%2Fservice-proxy-name\
             &fieldSelector=spec.clusterIP%21%3DNone";
        let slices = "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=%21service.kubernetes.io%2Fheadless\
             %2C%21service.kubernetes.io%2Fservice-proxy-name";
        let node = "/api/v1/nodes?fieldSelector=metadata.name%3Dnode-a";
        let cidrs = "/apis/networking.k8s.io/v1/servicecidrs";
        let streaming = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
             &allowWatchBookmarks=true&timeoutSeconds=333";
        let table = [
            (Kind::Services, Request::StreamingList { timeout }, format!("{services}&{streaming}")),
            (Kind::ServiceCidrs, Request::StreamingList { timeout }, format!("{cidrs}?{streaming}")),
            (
                Kind::EndpointSlices,
                Request::FirstPage { state: State::Any },
                format!("{slices}&limit=500&resourceVersion=0"),
            ),
            (
                Kind::Services,
                Request::FirstPage { state: State::Since("17".into()) },
                format!("{services}&limit=500&resourceVersion=17&resourceVersionMatch=NotOlderThan"),
            ),
            (Kind::Services, Request::FirstPage { state: State::Newest }, format!("{services}&limit=500")),
            (
                Kind::Node,
                Request::NextPage { token: "eyJ2+/=".into() },
                format!("{node}&limit=500&continue=eyJ2%2B%2F%3D"),
            ),
            (
                Kind::Node,
                Request::Watch { version: "17".into(), timeout },
                format!("{node}&watch=true&resourceVersion=17&allowWatchBookmarks=true&timeoutSeconds=333"),
            ),
        ];
        for (kind, request, uri) in table {
            assert_eq!(request.uri(kind, "node-a"), uri);
        }
    }
}
