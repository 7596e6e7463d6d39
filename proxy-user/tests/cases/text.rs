//! What a case writes as one word or two: who dials what, and frontends.

use serde::Deserialize;
use shunt::{
    explain::{Origin, Question},
    model::Protocol,
    view::FrontendView,
};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// `10.96.0.10:80/TCP`.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(try_from = "String")]
pub struct Dialled {
    pub address: SocketAddr,
    pub protocol: Protocol,
}

impl TryFrom<String> for Dialled {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not written as 10.96.0.10:80/TCP or [fd00::10]:53/UDP");
        let (address, name) = text.split_once('/').ok_or_else(wrong)?;
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let protocol = protocols.into_iter().find(|protocol| protocol.to_string() == name);
        Ok(Self { address: address.parse().map_err(|_| wrong())?, protocol: protocol.ok_or_else(wrong)? })
    }
}

impl fmt::Display for Dialled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.protocol)
    }
}

/// `pod`, `node:192.168.77.1`, `external:198.51.100.9`.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(try_from = "String")]
pub enum From {
    Pod(Option<IpAddr>),
    Node(Option<IpAddr>),
    External(Option<IpAddr>),
}

impl From {
    const fn parts(self) -> (&'static str, Origin, Option<IpAddr>) {
        match self {
            Self::Pod(address) => ("pod", Origin::Pod, address),
            Self::Node(address) => ("node", Origin::Node, address),
            Self::External(address) => ("external", Origin::Outside, address),
        }
    }

    pub const fn origin(self) -> Origin {
        self.parts().1
    }

    pub const fn question(self, dialled: Dialled) -> Question {
        let (_, origin, source) = self.parts();
        Question { destination: dialled.address, protocol: dialled.protocol, origin, source }
    }
}

impl TryFrom<String> for From {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (word, address) = text.split_once(':').map_or((text.as_str(), None), |(w, a)| (w, Some(a)));
        let address =
            address.map(|address| address.parse().map_err(|_| format!("{address:?} is no address")));
        let address = address.transpose()?;
        match word {
            "pod" => Ok(Self::Pod(address)),
            "node" => Ok(Self::Node(address)),
            "external" => Ok(Self::External(address)),
            _ => Err(format!("{word:?} is none of pod, node and external")),
        }
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, _, address) = self.parts();
        f.write_str(word)?;
        address.map_or(Ok(()), |address| write!(f, ":{address}"))
    }
}

/// `ClusterIP 10.96.0.10:80`, `NodePort *:30080`.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(transparent)]
pub struct Frontend(pub String);

impl Frontend {
    pub fn of(view: &FrontendView) -> Self {
        Self(format!("{} {view}", view.kind.name()))
    }
}
