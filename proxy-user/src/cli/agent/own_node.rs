//! The zone that an operator gives this node on the command line, in place of the one that its Node names.

use crate::model::{Event, Node};
use smol_str::SmolStr;

/// This node, as the command line describes it.
pub struct OwnNode {
    name: SmolStr,
    zone: Option<SmolStr>,
}

impl OwnNode {
    /// The node `name`, in `zone` if it says so.
    pub fn new(name: &str, zone: Option<&str>) -> Self {
        Self { name: name.into(), zone: zone.map(SmolStr::from) }
    }

    /// What is known of it before anybody tells: a node that no object describes has its zone all the same.
    pub fn first(&self) -> Option<Event> {
        let unknown = Event::NodeDeleted(self.name.clone());
        self.zone.is_some().then(|| self.amend(unknown))
    }

    /// An event with this node's zone.
    pub fn amend(&self, event: Event) -> Event {
        let Some(zone) = &self.zone else { return event };
        match event {
            Event::NodeApplied(node) if node.name == self.name => {
                Event::NodeApplied(Node { zone: Some(zone.clone()), ..node })
            }
            Event::NodeDeleted(name) if name == self.name => {
                Event::NodeApplied(Node { name, zone: Some(zone.clone()), ..Node::default() })
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
        let own = OwnNode::new("n1", Some("b"));
        let here = Event::NodeApplied(node("n1", Some("b")));
        assert_eq!(own.first(), Some(here.clone()));
        let other = Event::NodeApplied(node("n2", Some("a")));
        assert_eq!(own.amend(other.clone()), other);
        assert_eq!(own.amend(Event::NodeApplied(node("n1", Some("a")))), here);
        assert_eq!(own.amend(Event::NodeDeleted("n1".into())), here);
    }

    #[test]
    fn without_one_events_stay_as_they_are() {
        let own = OwnNode::new("n1", None);
        let event = Event::NodeApplied(node("n1", Some("a")));
        assert_eq!(own.first(), None);
        assert_eq!(own.amend(event.clone()), event);
    }
}
