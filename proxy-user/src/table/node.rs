//! What the table says of the node itself: its name, its addresses, and whose other addresses are.

use super::{Frontend, Full, Plan, Table, claims::NODE, state::NODE_BLOCK};
use crate::writer::{PrefixKey, Store};
use ahash::AHashSet;
use proxy_common::abi::{Network, NetworkKey, NodeEntry, NodeFlags};
use smol_str::SmolStr;

impl Table {
    /// Plans the text that says for which node the maps are, for whoever reads them.
    pub fn describe_node(&mut self, text: SmolStr, plan: &mut Plan) {
        if self.node != text && self.names_node {
            plan.stores.push(Store::Name { cell: NODE_BLOCK.base, text: text.clone() });
            self.node = text;
        }
    }

    /// Plans the frontends that say which addresses are this node's. Those that do not fit are left out.
    ///
    /// # Errors
    /// The map that is full. Call it again once there is room.
    pub fn set_node_addresses(&mut self, addresses: &[Frontend]) -> Result<(), Full> {
        // A node that kube-proxy's IPVS mode has left has ten thousands of them.
        let wanted: AHashSet<_> = addresses.iter().collect();
        let held: AHashSet<_> = self.node_addresses.iter().copied().collect();
        let (kept, gone) =
            std::mem::take(&mut self.node_addresses).into_iter().partition(|held| wanted.contains(held));
        self.node_addresses = kept;
        let gone: Vec<Frontend> = gone;
        gone.into_iter().for_each(|frontend| self.claims.release(&self.ports, NODE, frontend));
        let mut outcome = Ok(());
        for frontend in addresses {
            if held.contains(frontend) {
                continue;
            }
            match self.claims.room_for(&[*frontend]) {
                Ok(()) => {
                    self.claims.claim(&self.ports, NODE, *frontend);
                    self.node_addresses.push(*frontend);
                }
                full => outcome = outcome.and(full),
            }
        }
        outcome
    }

    /// Plans what is said of whole networks. Those that do not fit are left out.
    ///
    /// # Errors
    /// The map that is full. Call it again once there is room.
    pub fn set_networks(&mut self, networks: &[(NetworkKey, Network)]) -> Result<(), Full> {
        let wanted: AHashSet<_> = networks.iter().map(|(key, _)| *key).collect();
        for gone in std::mem::take(&mut self.networks) {
            if !wanted.contains(&gone) {
                self.prefixes.want(PrefixKey::Network(gone), None);
            }
        }
        let mut outcome = Ok(());
        for (key, network) in networks {
            let prefix = PrefixKey::Network(*key);
            match self.prefixes.room_for(std::iter::once(prefix)) {
                Ok(()) => {
                    self.prefixes.want(prefix, Some(*network as u32));
                    self.networks.push(*key);
                }
                full => outcome = outcome.and(full),
            }
        }
        outcome
    }

    /// The facts about the node, as they are planned.
    #[must_use]
    pub const fn node_flags(&self) -> NodeFlags {
        self.node_entry.flags
    }

    /// Plans the facts about the node.
    pub fn set_node_flags(&mut self, flags: NodeFlags, plan: &mut Plan) {
        let entry = NodeEntry { flags, ..NodeEntry::default() };
        if std::mem::replace(&mut self.node_entry, entry) != entry {
            plan.stores.push(Store::Node { entry });
        }
    }
}
