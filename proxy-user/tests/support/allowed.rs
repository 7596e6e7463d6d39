//! What a client in a pod may meet while one state of the world gives way to the next.

use super::{Kind, Model, model::Frontend};
use shunt::model::{Family, Protocol};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// An address that clients dial.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Dialled {
    pub address: SocketAddr,
    pub protocol: Protocol,
}

/// An endpoint, at any of the moments, of a service port that claims the address at any of them. (Where the
/// rightful owner has to wait for room, another claimant has the address until then.)
#[derive(Default, Debug)]
pub struct Allowed {
    /// New flows may go there.
    pub endpoints: BTreeSet<SocketAddr>,
    /// UDP flows may stay there.
    pub usable: BTreeSet<SocketAddr>,
    /// At some moment nobody had the address, or its owner no endpoint for this client, or source ranges:
    /// then a refusal, a drop or a pass is right.
    pub nothing: bool,
}

/// Everything that is dialled at some moment: frontends, and node ports on the node's addresses.
pub fn dialled<'a>(moments: impl IntoIterator<Item = &'a Model>) -> BTreeSet<Dialled> {
    let mut dialled = BTreeSet::new();
    for model in moments {
        for (family, address, port, protocol) in model.owners.keys() {
            let node = model.node_addresses.iter().filter(|node| Family::of(node) == *family).copied();
            let addresses: Vec<IpAddr> = address.map_or_else(|| node.collect(), |address| vec![address]);
            let dial = |ip| Dialled { address: SocketAddr::new(ip, *port), protocol: *protocol };
            dialled.extend(addresses.into_iter().map(dial));
        }
    }
    dialled
}

pub fn allowed(moments: &[Model], dialled: &Dialled) -> Allowed {
    let mut allowed = Allowed::default();
    let keys: Vec<Vec<Frontend>> = moments.iter().map(|model| frontends(model, dialled)).collect();
    allowed.nothing = keys.iter().any(Vec::is_empty);
    let mut claimants = BTreeSet::new();
    for (model, keys) in moments.iter().zip(&keys) {
        for key in keys {
            claimants.extend(model.claimants[key].iter().cloned());
            // Another kind, another policy; and a load balancer's ranges leave a socket alone.
            allowed.nothing |= model.owners[key].0 == Kind::LoadBalancer;
        }
    }
    for owner in &claimants {
        let ports: Vec<_> = moments.iter().filter_map(|model| model.ports.get(owner)).collect();
        // A reader may meet the sets of one moment under the policy of another.
        let local = ports.iter().any(|port| port.internal_local);
        for port in ports {
            let sets = [Some(&port.cluster), Some(&port.local).filter(|_| local)];
            for set in sets.into_iter().flatten() {
                allowed.nothing |= set.is_empty();
                allowed.endpoints.extend(set);
            }
            allowed.usable.extend(&port.usable);
        }
    }
    allowed
}

/// The frontends that an address may be at one moment: its own first, and that of a node port.
fn frontends(model: &Model, dialled: &Dialled) -> Vec<Frontend> {
    let (ip, port) = (dialled.address.ip(), dialled.address.port());
    let family = Family::of(&ip);
    let exact = (family, Some(ip), port, dialled.protocol);
    let node = (family, None, port, dialled.protocol);
    let is_node = model.node_addresses.contains(&ip) && !model.cluster_ips.contains(&ip);
    let known = |key: &Frontend| model.owners.contains_key(key);
    if known(&exact) {
        vec![exact]
    } else if is_node && known(&node) {
        vec![node]
    } else {
        Vec::new()
    }
}
