//! This node: what the operator says of it, in place of its Node, and what its Node says to load balancers.

use crate::{
    model::{Event, Node},
    server::NodeEligibility,
};
use smol_str::SmolStr;
use std::net::IpAddr;

/// This node, as the operator and its Node describe it.
pub struct OwnNode {
    name: SmolStr,
    /// Its zone, whatever its Node says.
    zone: Option<SmolStr>,
    /// Its first addresses, before those of its Node.
    addresses: Vec<IpAddr>,
    eligibility: NodeEligibility,
}

impl OwnNode {
    /// The node `name`, in `zone` if the operator says so.
    pub fn new(name: &str, zone: Option<&str>) -> Self {
        let (name, zone) = (name.into(), zone.map(SmolStr::from));
        Self { name, zone, addresses: Vec::new(), eligibility: NodeEligibility::Unknown }
    }

    /// The same with addresses that come before those of its Node.
    #[must_use]
    pub fn with_addresses(self, addresses: &[IpAddr]) -> Self {
        Self { addresses: addresses.to_vec(), ..self }
    }

    /// What is known of it before anybody tells: a node that no object describes has its zone and addresses all the
    /// same.
    pub fn first(&mut self) -> Option<Event> {
        let unknown = Event::NodeDeleted(self.name.clone());
        self.is_described().then(|| self.amend(unknown))
    }

    /// Whether load balancers may send new connections here, by the events so far.
    pub const fn eligibility(&self) -> NodeEligibility {
        self.eligibility
    }

    /// An event with what the operator says of this node.
    pub fn amend(&mut self, event: Event) -> Event {
        match event {
            Event::NodeApplied(node) if node.name == self.name => {
                self.eligibility =
                    if node.leaving { NodeEligibility::Leaving } else { NodeEligibility::Eligible };
                Event::NodeApplied(self.described(node))
            }
            Event::NodeDeleted(name) if name == self.name => {
                self.eligibility = NodeEligibility::Unknown;
                if self.is_described() {
                    Event::NodeApplied(self.described(Node { name, ..Node::default() }))
                } else {
                    Event::NodeDeleted(name)
                }
            }
            other => other,
        }
    }

    const fn is_described(&self) -> bool {
        self.zone.is_some() || !self.addresses.is_empty()
    }

    fn described(&self, mut node: Node) -> Node {
        if self.zone.is_some() {
            node.zone.clone_from(&self.zone);
        }
        if !self.addresses.is_empty() {
            node.addresses.retain(|address| !self.addresses.contains(address));
            node.addresses.splice(0..0, self.addresses.iter().copied());
        }
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, zone: Option<&str>) -> Node {
        Node { name: name.into(), zone: zone.map(SmolStr::from), ..Node::default() }
    }

    #[test]
    fn the_command_lines_zone_stands_whatever_becomes_of_the_node_object() {
        let mut own = OwnNode::new("n1", Some("b"));
        let here = Event::NodeApplied(node("n1", Some("b")));
        assert_eq!(own.first(), Some(here.clone()));
        let other = Event::NodeApplied(node("n2", Some("a")));
        assert_eq!(own.amend(other.clone()), other);
        assert_eq!(own.amend(Event::NodeApplied(node("n1", Some("a")))), here);
        assert_eq!(own.amend(Event::NodeDeleted("n1".into())), here);
    }

    #[test]
    fn the_command_lines_addresses_come_before_the_nodes_own() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut own = OwnNode::new("n1", None).with_addresses(&[ip("10.0.0.5"), ip("fd00::5")]);
        let with = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|text| ip(text)).collect();
            Event::NodeApplied(Node { addresses, ..node("n1", Some("a")) })
        };
        let wanted = with(&["10.0.0.5", "fd00::5", "192.0.2.1"]);
        assert_eq!(own.amend(with(&["192.0.2.1", "10.0.0.5"])), wanted);
        let alone = Node { addresses: vec![ip("10.0.0.5"), ip("fd00::5")], ..node("n1", None) };
        assert_eq!(own.amend(Event::NodeDeleted("n1".into())), Event::NodeApplied(alone.clone()));
        assert_eq!(own.first(), Some(Event::NodeApplied(alone)));
    }

    #[test]
    fn load_balancers_hear_what_its_own_node_says() {
        let mut own = OwnNode::new("n1", None);
        assert_eq!(own.eligibility(), NodeEligibility::Unknown);
        let mut after = |event| {
            own.amend(event);
            own.eligibility()
        };
        let leaving = Node { leaving: true, ..node("n1", None) };
        assert_eq!(after(Event::NodeApplied(node("n1", None))), NodeEligibility::Eligible);
        assert_eq!(after(Event::NodeDeleted("n2".into())), NodeEligibility::Eligible);
        assert_eq!(after(Event::NodeApplied(leaving)), NodeEligibility::Leaving);
        assert_eq!(after(Event::NodeDeleted("n1".into())), NodeEligibility::Unknown);
    }

    #[test]
    fn without_one_events_stay_as_they_are() {
        let mut own = OwnNode::new("n1", None);
        let event = Event::NodeApplied(node("n1", Some("a")));
        assert_eq!(own.first(), None);
        assert_eq!(own.amend(event.clone()), event);
    }
}
