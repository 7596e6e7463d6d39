//! Topology hints of endpoints, each distinct list once: a cluster has few of them and very many endpoints.
//! What they mean to this node is worked out once per list, not once per endpoint.

use ahash::AHashMap;
use slab::Slab;
use smol_str::SmolStr;

/// Hints as an endpoint refers to them; [`HintsId::NONE`] without any.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HintsId(u32);

impl HintsId {
    /// No hints at all.
    pub const NONE: Self = Self(u32::MAX);
}

/// `hints.forZones[].name` and `hints.forNodes[].name`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct HintList {
    pub zones: Vec<SmolStr>,
    pub nodes: Vec<SmolStr>,
}

/// What an endpoint's hints say to this node.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Hinted {
    /// Its traffic should come from certain nodes.
    pub to_nodes: bool,
    /// This node is one of them.
    pub to_this_node: bool,
    /// Its traffic should come from certain zones.
    pub to_zones: bool,
    /// This node's zone is one of them.
    pub to_this_zone: bool,
}

/// Every list of hints that some endpoint has.
#[derive(Debug, Default)]
pub struct HintLists {
    lists: Slab<Known>,
    ids: AHashMap<HintList, u32>,
}

#[derive(Debug)]
struct Known {
    list: HintList,
    endpoints: u32,
    hinted: Hinted,
}

impl HintLists {
    /// What hints say to this node.
    #[must_use]
    pub fn get(&self, id: HintsId) -> Hinted {
        self.lists.get(id.0 as usize).map_or_else(Hinted::default, |known| known.hinted)
    }

    /// One endpoint more has this list.
    pub(super) fn share(&mut self, list: HintList, node: &str, zone: Option<&str>) -> HintsId {
        if list.zones.is_empty() && list.nodes.is_empty() {
            return HintsId::NONE;
        }
        if let Some(id) = self.ids.get(&list) {
            self.lists[*id as usize].endpoints += 1;
            return HintsId(*id);
        }
        let hinted = hinted(&list, node, zone);
        let id = self.lists.insert(Known { list: list.clone(), endpoints: 1, hinted }) as u32;
        self.ids.insert(list, id);
        HintsId(id)
    }

    /// One endpoint fewer has this list; one that nobody has is forgotten.
    pub(super) fn release(&mut self, id: HintsId) {
        let Some(known) = self.lists.get_mut(id.0 as usize) else { return };
        known.endpoints -= 1;
        if known.endpoints == 0 {
            let known = self.lists.remove(id.0 as usize);
            self.ids.remove(&known.list);
        }
    }

    /// The node is in another zone from now on.
    pub(super) fn rezone(&mut self, node: &str, zone: Option<&str>) {
        for (_, known) in &mut self.lists {
            known.hinted = hinted(&known.list, node, zone);
        }
    }

    /// True if no endpoint has hints.
    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty() && self.ids.is_empty()
    }
}

fn hinted(list: &HintList, node: &str, zone: Option<&str>) -> Hinted {
    Hinted {
        to_nodes: !list.nodes.is_empty(),
        to_this_node: list.nodes.iter().any(|hint| hint == node),
        to_zones: !list.zones.is_empty(),
        to_this_zone: list.zones.iter().any(|hint| Some(hint.as_str()) == zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(zones: &[&str]) -> HintList {
        HintList { zones: zones.iter().map(SmolStr::new).collect(), nodes: Vec::new() }
    }

    #[test]
    fn a_list_is_kept_once_and_forgotten_with_its_last_endpoint() {
        let mut lists = HintLists::default();
        let (a, again) = (lists.share(zones(&["a"]), "n", None), lists.share(zones(&["a"]), "n", None));
        let other = lists.share(zones(&["b"]), "n", None);
        assert!(a == again && a != other);
        assert_eq!(lists.share(zones(&[]), "n", None), HintsId::NONE);
        lists.release(a);
        assert_eq!(lists.lists.len(), 2);
        lists.release(again);
        lists.release(other);
        lists.release(HintsId::NONE);
        assert!(lists.is_empty());
    }

    #[test]
    fn a_list_means_something_else_in_another_zone() {
        let mut lists = HintLists::default();
        let id = lists.share(HintList { nodes: vec!["n".into()], ..zones(&["a", "b"]) }, "n", None);
        let to_this_zone = |lists: &HintLists| lists.get(id).to_this_zone;
        assert!(!to_this_zone(&lists) && lists.get(id).to_this_node && lists.get(id).to_zones);
        for (zone, is_in) in [(Some("b"), true), (Some("c"), false), (Some("a"), true), (None, false)] {
            lists.rezone("n", zone);
            assert_eq!(to_this_zone(&lists), is_in, "{zone:?}");
        }
        assert_eq!(lists.get(HintsId::NONE), Hinted::default());
    }
}
