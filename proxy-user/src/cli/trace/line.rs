//! A decision as one line: for people, or a JSON object.

use super::clock::Moment;
use crate::view::{DecisionView, Ends};
use proxy_common::abi::{ICMP, ICMPV6, SCTP, TCP, UDP};
use serde::Serialize;
use std::{borrow::Cow, net::SocketAddr};

/// Columns that the names of Services have at first.
const SERVICE: usize = 20;

/// Lines for people. The column of Services grows with the longest name, for lines cannot be taken back.
pub struct Lines {
    service: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { service: SERVICE }
    }
}

impl Lines {
    /// What stands above the columns.
    pub fn header(&self) -> String {
        self.columns("TIME (UTC)", "HOOK", "OUTCOME", "SERVICE", "FROM AND TO")
    }

    /// The line of a decision, `device` being the name of its device.
    pub fn line(&mut self, moment: Moment, decision: &DecisionView, device: Option<&str>) -> String {
        let service = decision.service.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        self.service = self.service.max(service.len());
        let mut way =
            format!("{} {}", protocol(decision.protocol), ends(&decision.before, decision.protocol));
        if let Some(after) = &decision.after {
            way = format!("{way} -> {}", ends(after, decision.protocol));
        }
        if let Some(device) = device {
            way = format!("{way} on {device}");
        }
        if let Some(reason) = decision.reason() {
            way = format!("{way}: {reason}");
        }
        let (hook, outcome) = (decision.hook_name(), decision.outcome_name());
        self.columns(&format!("{moment:#}"), hook, outcome, &service, &way)
    }

    fn columns(&self, time: &str, hook: &str, outcome: &str, service: &str, way: &str) -> String {
        format!("{time:15}  {hook:7}  {outcome:9}  {service:width$}  {way}", width = self.service)
    }
}

/// The JSON object of a decision.
#[derive(Serialize)]
pub struct DecisionDocument<'a> {
    time: String,
    hook: &'static str,
    outcome: &'static str,
    protocol: Cow<'static, str>,
    service: Option<String>,
    before: EndsDocument,
    after: Option<EndsDocument>,
    reason: Option<&'static str>,
    /// The counter of `shunt status` that counted it.
    counter: &'static str,
    device: Option<&'a str>,
    cookie: Option<u64>,
}

#[derive(Serialize)]
struct EndsDocument {
    source: Option<String>,
    destination: String,
}

impl<'a> DecisionDocument<'a> {
    /// The object of a decision, `device` being the name of its device.
    pub fn new(moment: Moment, decision: &DecisionView, device: Option<&'a str>) -> Self {
        let ends = |ends: Ends| EndsDocument {
            source: ends.source.map(|source| end(source, decision.protocol)),
            destination: end(ends.destination, decision.protocol),
        };
        Self {
            time: moment.to_string(),
            hook: decision.hook_name(),
            outcome: decision.outcome_name(),
            protocol: protocol(decision.protocol),
            service: decision.service.as_ref().map(ToString::to_string),
            before: ends(decision.before),
            after: decision.after.map(ends),
            reason: decision.reason(),
            counter: decision.counter.name(),
            device,
            cookie: decision.cookie,
        }
    }
}

/// `10.96.0.10:80`, or `10.9.0.1:4711 > 10.96.0.10:80` where the source is known.
fn ends(ends: &Ends, protocol: u32) -> String {
    let destination = end(ends.destination, protocol);
    match ends.source {
        Some(source) => format!("{} > {destination}", end(source, protocol)),
        None => destination,
    }
}

/// With the port, where the protocol has ports.
fn end(end: SocketAddr, protocol: u32) -> String {
    let has_ports = [TCP, UDP, SCTP].iter().any(|number| u32::from(*number) == protocol);
    if has_ports { end.to_string() } else { end.ip().to_string() }
}

fn protocol(number: u32) -> Cow<'static, str> {
    let names = [(TCP, "TCP"), (UDP, "UDP"), (SCTP, "SCTP"), (ICMP, "ICMP"), (ICMPV6, "ICMPv6")];
    match names.iter().find(|(known, _)| u32::from(*known) == number) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("protocol {number}")),
    }
}
