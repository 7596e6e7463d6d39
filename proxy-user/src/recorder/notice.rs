//! What is told.

use crate::model::ObjectName;
use std::fmt;

/// The object that an Event is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum About {
    /// This node's Node.
    Node,
    /// A Service.
    Service(ObjectName),
}

/// Why an Event is written: a word that scripts look for. Where kube-proxy has one for the same thing, it is that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// The agent has programmed the node for the first time since its start. Kube-proxy's word.
    Starting,
    /// A map has no room for a Service, or for what is to be said of the node.
    MapFull,
    /// Maps were made larger.
    MapsGrown,
    /// Maps could not be made larger.
    MapsNotGrown,
    /// A `healthCheckNodePort` is not answered. Kube-proxy's word.
    FailedToStartServiceHealthcheck,
    /// `/healthz` is not answered. Kube-proxy's word.
    FailedToStartProxierHealthcheck,
    /// `/metrics` is not answered. Kube-proxy's word.
    FailedToStartMetricServer,
    /// Two Services claim one address and port.
    AddressConflict,
    /// A setting of kube-proxy's configuration is not honoured.
    ConfigIgnored,
    /// A list of the API server's lacks so much that it is not believed.
    ListHeldBack,
    /// What such a list lacks is gone after all.
    ListReleased,
    /// RBAC does not let the agent see what it needs.
    ListForbidden,
    /// Rules of kube-proxy are on the node.
    KubeProxyFound,
    /// Programs or pins that somebody had taken away are there again.
    AttachmentRestored,
    /// A program of somebody else's runs before Shunt's, or keeps it from being attached.
    ForeignProgram,
    /// Something of Shunt's is not in effect, and could not be restored.
    NotInEffect,
}

impl Reason {
    /// The word, as it stands in `reason`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::MapFull => "MapFull",
            Self::MapsGrown => "MapsGrown",
            Self::MapsNotGrown => "MapsNotGrown",
            Self::FailedToStartServiceHealthcheck => "FailedToStartServiceHealthcheck",
            Self::FailedToStartProxierHealthcheck => "FailedToStartProxierHealthcheck",
            Self::FailedToStartMetricServer => "FailedToStartMetricServer",
            Self::AddressConflict => "AddressConflict",
            Self::ConfigIgnored => "ConfigIgnored",
            Self::ListHeldBack => "ListHeldBack",
            Self::ListReleased => "ListReleased",
            Self::ListForbidden => "ListForbidden",
            Self::KubeProxyFound => "KubeProxyFound",
            Self::AttachmentRestored => "AttachmentRestored",
            Self::ForeignProgram => "ForeignProgram",
            Self::NotInEffect => "NotInEffect",
        }
    }

    /// What was being done, as it stands in `action`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::Starting | Self::FailedToStartProxierHealthcheck | Self::FailedToStartMetricServer => {
                "StartKubeProxyReplacement"
            }
            Self::MapFull | Self::AddressConflict => "ProgramService",
            Self::MapsGrown | Self::MapsNotGrown => "GrowMaps",
            Self::FailedToStartServiceHealthcheck => "Listen",
            Self::ConfigIgnored => "ReadConfiguration",
            Self::ListHeldBack | Self::ListReleased | Self::ListForbidden => "ListObjects",
            Self::KubeProxyFound => "LookForKubeProxy",
            Self::AttachmentRestored | Self::ForeignProgram | Self::NotInEffect => "WatchAttachments",
        }
    }

    /// False for what is as it should be (`type: Normal`).
    #[must_use]
    pub const fn is_warning(self) -> bool {
        !matches!(self, Self::Starting | Self::ListReleased | Self::MapsGrown)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What an operator must know.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Notice {
    /// The object in whose Events it is shown.
    pub about: About,
    /// Why.
    pub reason: Reason,
    /// The whole sentence.
    pub note: String,
}

impl Notice {
    /// About this node.
    pub fn node(reason: Reason, note: impl Into<String>) -> Self {
        Self { about: About::Node, reason, note: note.into() }
    }

    /// About a Service.
    pub fn service(name: &ObjectName, reason: Reason, note: impl Into<String>) -> Self {
        Self { about: About::Service(name.clone()), reason, note: note.into() }
    }
}
