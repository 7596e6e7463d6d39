//! What an operator says of this node on the command line, in place of its Node: its zone, and its first addresses.

use crate::model::{Event, Node};
use smol_str::SmolStr;
use std::net::IpAddr;

/// This node, as the command line describes it.
pub struct OwnNode {
    name: SmolStr,
    zone: Option<SmolStr>,
    addresses: Vec<IpAddr>,
}

impl OwnNode {
    /// The node `name`, in `zone` if it says so.
    pub fn new(name: &str, zone: Option<&str>) -> Self {
        Self { name: name.into(), zone: zone.map(SmolStr::from), addresses: Vec::new() }
    }

    /// The same with addresses that come before those of its Node.
    #[must_use]
    pub fn with_addresses(self, addresses: &[IpAddr]) -> Self {
        Self { addresses: addresses.to_vec(), ..self }
    }

    /// The first events of a source. A node that nobody describes has its zone and addresses all the same.
    pub fn first(&self, events: Vec<Event>) -> impl Iterator<Item = Event> {
        let unknown = Event::NodeDeleted(self.name.clone());
        let first = self.is_described().then(|| self.amend(unknown));
        first.into_iter().chain(events.into_iter().map(|event| self.amend(event)))
    }

    /// An event with what the command line says of this node.
    pub fn amend(&self, event: Event) -> Event {
        if !self.is_described() {
            return event;
        }
        match event {
            Event::NodeApplied(node) if node.name == self.name => Event::NodeApplied(self.described(node)),
            Event::NodeDeleted(name) if name == self.name => {
                Event::NodeApplied(self.described(Node { name, ..Node::default() }))
            }
            other => other,
        }
    }

    const fn is_described(&self) -> bool {
        self.zone.is_some() || !self.addresses.is_empty()
    }

    fn described(&self, node: Node) -> Node {
        let others = node.addresses.iter().filter(|address| !self.addresses.contains(address));
        let addresses = self.addresses.iter().chain(others).copied().collect();
        Node { zone: self.zone.clone().or(node.zone), addresses, ..node }
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
        let own = OwnNode::new("n1", Some("b"));
        let here = Event::NodeApplied(node("n1", Some("b")));
        let other = Event::NodeApplied(node("n2", Some("a")));
        assert_eq!(own.first(vec![other.clone()]).collect::<Vec<_>>(), [here.clone(), other]);
        assert_eq!(own.amend(Event::NodeApplied(node("n1", Some("a")))), here);
        assert_eq!(own.amend(Event::NodeDeleted("n1".into())), here);
    }

    #[test]
    fn the_command_lines_addresses_come_before_the_nodes_own() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = OwnNode::new("n1", None).with_addresses(&[ip("10.0.0.5"), ip("fd00::5")]);
        let with = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|text| ip(text)).collect();
            Event::NodeApplied(Node { addresses, ..node("n1", Some("a")) })
        };
        let wanted = with(&["10.0.0.5", "fd00::5", "192.0.2.1"]);
        assert_eq!(own.amend(with(&["192.0.2.1", "10.0.0.5"])), wanted);
        let Event::NodeApplied(alone) = own.amend(Event::NodeDeleted("n1".into())) else {
            panic!("it stays")
        };
        assert_eq!((alone.addresses, alone.zone), (vec![ip("10.0.0.5"), ip("fd00::5")], None));
        assert_eq!(own.first(Vec::new()).count(), 1);
    }

    #[test]
    fn without_one_events_stay_as_they_are() {
        let own = OwnNode::new("n1", None);
        let event = Event::NodeApplied(node("n1", Some("a")));
        assert_eq!(own.first(vec![event.clone()]).collect::<Vec<_>>(), [event]);
    }
}
