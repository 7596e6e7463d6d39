//! What the protocol has found out, on its way to the agent.

use super::{
    notice::Notice,
    problem::{About, Problem, Severity},
};
use crate::model::{Event, Family};
use std::time::SystemTime;

/// Changes and problems, in their order.
#[derive(Default, Debug)]
pub(super) struct News {
    pub(super) events: Vec<Event>,
    pub(super) problems: Vec<Problem>,
    pub(super) triggers: Vec<(Family, SystemTime)>,
    pub(super) notices: Vec<Notice>,
    /// A list was complete, or it is known that there is none.
    pub(super) complete: bool,
    /// Objects that could not be read.
    pub(super) refused: u64,
}

impl News {
    pub(super) const fn is_empty(&self) -> bool {
        self.events.is_empty() && self.problems.is_empty() && self.triggers.is_empty() && !self.complete
    }

    /// A notice is a line of the log too.
    pub(super) fn notice(&mut self, severity: Severity, about: About, notice: Notice) {
        self.problems.push(Problem::new(severity, about, notice.to_string()));
        self.notices.push(notice);
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.events.append(&mut other.events);
        self.problems.append(&mut other.problems);
        self.triggers.append(&mut other.triggers);
        self.notices.append(&mut other.notices);
        self.complete |= other.complete;
        self.refused += other.refused;
    }
}
