//! What the model takes from the events of the property tests.

/// The node that is programmed.
pub const NODE: &str = "node-a";
