//! This node: what the operator says of it, in place of its Node, and what its Node says to load balancers.

use crate::{
    model::{Event, Node},
    server::NodeEligibility,
};
use smol_str::SmolStr;

/// This node, as the operator and its Node describe it.
pub struct OwnNode {
    name: SmolStr,
    /// Its zone, whatever its Node says.
    zone: Option<SmolStr>,
    eligibility: NodeEligibility,
}

impl OwnNode {
    /// The node `name`, in `zone` if the operator says so.
    pub fn new(name: &str, zone: Option<&str>) -> Self {
        Self { name: name.into(), zone: zone.map(SmolStr::from), eligibility: NodeEligibility::Unknown }
    }

    /// What is known of it before anybody tells: a node that no object describes has its zone all the same.
    pub fn first(&mut self) -> Option<Event> {
        let unknown = Event::NodeDeleted(self.name.clone());
        self.zone.is_some().then(|| self.amend(unknown))
    }

    /// Whether load balancers may send new connections here, by the events so far.
    pub const fn eligibility(&self) -> NodeEligibility {
        self.eligibility
    }

    /// An event with this node's zone.
    pub fn amend(&mut self, event: Event) -> Event {
        match event {
            Event::NodeApplied(mut node) if node.name == self.name => {
                self.eligibility =
                    if node.leaving { NodeEligibility::Leaving } else { NodeEligibility::Eligible };
                if self.zone.is_some() {
                    node.zone.clone_from(&self.zone);
                }
                Event::NodeApplied(node)
            }
            Event::NodeDeleted(name) if name == self.name => {
                self.eligibility = NodeEligibility::Unknown;
                match &self.zone {
                    Some(zone) => {
                        Event::NodeApplied(Node { name, zone: Some(zone.clone()), ..Node::default() })
                    }
                    None => Event::NodeDeleted(name),
                }
            }
            other => other,
        }
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
