//! What is wrong with health checks that nobody can ask for, for logs and Events.

use crate::model::ObjectName;
use rustix::io::Errno;
use std::{fmt, net::IpAddr};

/// What has changed since the last news: of any number of Services, each once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct News {
    /// Health checks that cannot be answered, wholly or in part: those that could before or were never tried,
    /// those with another trouble than before, and now and then those that still cannot. (kube-proxy's Event
    /// on the Service is a Warning, `FailedToStartServiceHealthcheck`.)
    pub failed: Vec<Problem>,
    /// Health checks that are answered after all, with their ports.
    pub mended: Vec<(ObjectName, u16)>,
}

/// A health check that cannot be answered everywhere it should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The Service.
    pub service: ObjectName,
    /// Its `healthCheckNodePort`.
    pub port: u16,
    /// Why not. Of several addresses the first one's trouble.
    pub trouble: Trouble,
}

/// Why a health check is not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Another Service has the same port.
    Taken(ObjectName),
    /// The node has no address where NodePorts answer.
    NoAddress,
    /// What the kernel said of an address.
    Listen(IpAddr, Errno),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, port, trouble } = self;
        write!(f, "health checks of {service} on port {port} are not answered: ")?;
        match trouble {
            Trouble::Taken(other) => write!(f, "{other} has the same healthCheckNodePort"),
            Trouble::NoAddress => f.write_str("this node has no address where NodePorts answer"),
            Trouble::Listen(address, error) => write!(f, "listen on {address}: {error}"),
        }
    }
}
