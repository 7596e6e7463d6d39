//! The laboratory of a case: a node, pods that reach nobody but the node, and servers. Every endpoint, wherever
//! it is said to run, lives on the node's loopback device, and so does every address that is dialled: who
//! answers there is whom a connection reaches that nobody has turned.

use super::super::{
    memory::CAPACITIES,
    text::{Dialled, From},
};
use shunt::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel,
    lab::{Bpffs, Cgroup, LabError, Namespace, Place, TcpServer, UdpServer},
    model::Protocol,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// The node's address on its links to pods.
const GATEWAY: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)), IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))];

/// Questions may be asked by other pods than those whose session affinity is at stake.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Purpose {
    Ask,
    Dial,
}

/// Fields are dropped in their order.
pub struct Stage {
    servers: BTreeMap<(Option<Client>, Dialled), Server>,
    pods: BTreeMap<Client, Namespace>,
    addresses: BTreeSet<IpAddr>,
    node: Namespace,
    cgroup: Cgroup,
    _pins: Pins,
    bpffs: Bpffs,
}

type Client = (From, Purpose);

#[expect(dead_code, reason = "they serve while they are kept")]
enum Server {
    Tcp(TcpServer),
    Udp(UdpServer),
}

/// Detaches and unpins.
struct Pins(std::path::PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = kernel::remove(&self.0) {
            eprintln!("pins stay behind: {error}");
        }
    }
}

impl Stage {
    pub fn new() -> Result<Self, String> {
        let make = || -> Result<Self, LabError> {
            let (node, cgroup, bpffs) = (Namespace::new("node")?, Cgroup::new()?, Bpffs::new()?);
            node.add_address("lo", GATEWAY[0], 32)?;
            let pins = Pins(bpffs.path().join("shunt"));
            let (servers, pods, addresses) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
            Ok(Self { servers, pods, addresses, node, cgroup, _pins: pins, bpffs })
        };
        make().map_err(|error| error.to_string())
    }

    /// Opens a dataplane in the node's namespace, which the programs take for the node's own.
    pub fn open(&self, node: &str, rules: &Rules) -> Result<Dataplane, String> {
        let options = Options {
            cgroup: self.cgroup.path().to_owned(),
            pin_path: self.bpffs.path().join("shunt"),
            capacities: CAPACITIES,
            ..Options::default()
        };
        let opened = self.node.run(|| Dataplane::open(node, rules.clone(), &options));
        opened.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// Where a client's sockets are made.
    pub fn client(&self, from: From, purpose: Purpose) -> Result<Place, String> {
        self.namespace(from, purpose).map(|namespace| self.cgroup.at(namespace))
    }

    fn namespace(&self, from: From, purpose: Purpose) -> Result<&Namespace, String> {
        match from {
            From::Node(_) => Ok(&self.node),
            _ => self.pods.get(&(from, purpose)).ok_or_else(|| format!("there is no pod for {from}")),
        }
    }

    /// Makes a pod for a client that is one, unless there is one.
    pub fn add_client(&mut self, from: From, purpose: Purpose) -> Result<(), String> {
        if matches!(from, From::Node(_)) || self.pods.contains_key(&(from, purpose)) {
            return Ok(());
        }
        let number = self.pods.len() as u16 + 1;
        let pod = self.join_pod(number).map_err(|error| error.to_string())?;
        self.pods.insert((from, purpose), pod);
        Ok(())
    }

    fn join_pod(&self, number: u16) -> Result<Namespace, LabError> {
        let device = format!("pod{number}");
        let pod = Namespace::new(&device)?;
        self.node.connect(&device, &pod, "eth0")?;
        self.node.add_address(&device, GATEWAY[1], 64)?;
        let addresses: [(IpAddr, u8); 2] = [
            (Ipv4Addr::from(0x0af4_ff00 + u32::from(number)).into(), 32),
            (Ipv6Addr::new(0xfd00, 0x10, 0x244, 0xff, 0, 0, 0, number).into(), 128),
        ];
        for ((address, prefix), gateway) in addresses.into_iter().zip(GATEWAY) {
            self.node.add_route(address, prefix, None, &device)?;
            pod.add_address("eth0", address, prefix)?;
            let everywhere =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            pod.add_route(everywhere, 0, Some(gateway), "eth0")?;
        }
        Ok(pod)
    }

    /// Gives the node an address, unless it has it.
    pub fn own(&mut self, address: IpAddr) -> Result<(), LabError> {
        if !address.is_loopback() && self.addresses.insert(address) {
            self.node.add_address("lo", address, if address.is_ipv4() { 32 } else { 128 })?;
        }
        Ok(())
    }

    /// Has somebody listen at an address, who answers with it, and over TCP then repeats what it hears. A loopback address is one of the client that
    /// dials it.
    pub fn serve(&mut self, at: Dialled, client: Option<Client>) -> Result<(), String> {
        let address = SocketAddr::new(at.address.ip().to_canonical(), at.address.port());
        let at = Dialled { address, ..at };
        let client = client.filter(|(from, _)| address.ip().is_loopback() && matches!(from, From::Pod(_)));
        if at.protocol == Protocol::Sctp || self.servers.contains_key(&(client, at)) {
            return Ok(());
        }
        let server = self.start(at, client).map_err(|error| error.to_string())?;
        self.servers.insert((client, at), server);
        Ok(())
    }

    fn start(
        &mut self,
        Dialled { address, protocol }: Dialled,
        client: Option<Client>,
    ) -> Result<Server, LabError> {
        self.own(address.ip())?;
        let namespace = client.and_then(|client| self.pods.get(&client)).unwrap_or(&self.node);
        let name = address.to_string();
        Ok(match protocol {
            Protocol::Udp => Server::Udp(UdpServer::start(namespace, &name, address)?),
            _ => Server::Tcp(TcpServer::start_echo(namespace, &name, address)?),
        })
    }
}
