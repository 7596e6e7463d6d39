//! What of the decisions is shown.

use crate::cli::watch_args::TraceArgs;
use crate::view::{DecisionView, ServiceName};
use clap::ValueEnum;
use ipnet::IpNet;
use proxy_common::abi::{ICMP, ICMPV6, SCTP, TCP, TraceOutcome, UDP};
use std::{net::IpAddr, str::FromStr};

/// Of each kind any of those named, or any at all where none is.
#[derive(Debug)]
pub struct Filter<'a>(pub &'a TraceArgs);

impl Filter<'_> {
    /// Whether a decision passes but for the Service that it is about, which costs more to find out.
    pub fn passes(&self, decision: &DecisionView) -> bool {
        let TraceArgs { address, port, outcome, protocol, .. } = self.0;
        let any_end =
            |wanted: &dyn Fn(IpAddr, u16) -> bool| decision.ends().any(|end| wanted(end.ip(), end.port()));
        (address.is_empty() || any_end(&|ip, _| address.iter().any(|addresses| addresses.0.contains(&ip))))
            && (port.is_empty() || any_end(&|_, number| port.contains(&number)))
            && (outcome.is_empty() || outcome.iter().any(|outcome| outcome.is(decision.outcome)))
            && (protocol.is_empty() || protocol.iter().any(|protocol| protocol.is(decision.protocol)))
    }

    /// Whether a decision about this Service passes.
    pub fn passes_service(&self, service: Option<&ServiceName>) -> bool {
        let wanted = &self.0.service;
        wanted.is_empty() || service.is_some_and(|name| wanted.iter().any(|wanted| wanted.is(name)))
    }
}

/// `10.96.0.10`, `10.96.0.0/16`, `fd00::/64`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses(IpNet);

impl FromStr for Addresses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = || text.parse().map(|ip: IpAddr| IpNet::from(ip.to_canonical()));
        text.parse().or_else(|_| one()).map(Self).map_err(|_| "neither an IP address nor a range".to_owned())
    }
}

/// `default/web`, `default/web:http`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceFilter {
    namespace: String,
    name: String,
    port: Option<String>,
}

impl ServiceFilter {
    fn is(&self, service: &ServiceName) -> bool {
        self.namespace == service.service.namespace
            && self.name == service.service.name
            && self.port.as_deref().is_none_or(|port| service.port.as_deref() == Some(port))
    }
}

impl FromStr for ServiceFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
        match service.split_once('/') {
            Some((namespace, name))
                if !namespace.is_empty() && !name.is_empty() && !name.contains('/') && port != Some("") =>
            {
                Ok(Self {
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    port: port.map(str::to_owned),
                })
            }
            _ => Err("write namespace/name, or namespace/name:port with the port's name".to_owned()),
        }
    }
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Outcome {
    /// It went to an endpoint.
    Forwarded,
    /// It was refused with an answer.
    Rejected,
    /// It was not answered.
    Dropped,
    /// It was left alone.
    Passed,
}

impl Outcome {
    const fn is(self, outcome: TraceOutcome) -> bool {
        matches!(
            (self, outcome),
            (Self::Forwarded, TraceOutcome::Forwarded)
                | (Self::Rejected, TraceOutcome::Rejected)
                | (Self::Dropped, TraceOutcome::Dropped)
                | (Self::Passed, TraceOutcome::Passed)
        )
    }
}

/// A protocol; ICMP is that of both families.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

impl Protocol {
    fn is(self, number: u32) -> bool {
        let numbers: &[u8] = match self {
            Self::Tcp => &[TCP],
            Self::Udp => &[UDP],
            Self::Sctp => &[SCTP],
            Self::Icmp => &[ICMP, ICMPV6],
        };
        numbers.iter().any(|own| u32::from(*own) == number)
    }
}
