//! What a control plane is to be like.

use super::Tools;
use crate::lab::{Place, lan::Host};
use std::net::{IpAddr, Ipv4Addr};

/// What a control plane is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// The programs.
    pub tools: Tools,
    /// Where they run.
    pub place: Place,
    /// The address of that place that the API server is known by.
    pub ip: IpAddr,
    /// Its port; 0 takes a free one.
    pub port: u16,
    /// Networks of ClusterIPs, IPv4 before IPv6.
    pub service_networks: Vec<String>,
    /// Tokens and names of users who may do anything.
    pub users: Vec<(String, String)>,
    /// Controllers by their names in kube-controller-manager's `--controllers`; none for none.
    pub controllers: Vec<String>,
    /// Arguments that the API server is given beside its own.
    pub arguments: Vec<String>,
}

impl Options {
    /// On a host of the laboratory: port 6443, 10.96.0.0/16 and fd00:10:96::/112, the EndpointSlice controller.
    #[must_use]
    pub fn on(host: &Host, tools: Tools) -> Self {
        Self::at(host.into(), host.ipv4().into(), 6443, tools)
    }

    /// On the loopback address of the machine, a free port.
    #[must_use]
    pub fn on_loopback(tools: Tools) -> Self {
        Self::at(Place::here(), Ipv4Addr::LOCALHOST.into(), 0, tools)
    }

    fn at(place: Place, ip: IpAddr, port: u16, tools: Tools) -> Self {
        Self {
            tools,
            place,
            ip,
            port,
            service_networks: ["10.96.0.0/16", "fd00:10:96::/112"].map(str::to_owned).into(),
            users: Vec::new(),
            // No others: one would delete the pods of nodes that have no kubelet.
            controllers: ["endpointslice-controller", "namespace-controller"].map(str::to_owned).into(),
            arguments: Vec::new(),
        }
    }
}
