//! What the protocol has found out, on its way to the agent.

use super::{
    notice::Notice,
    problem::{About, Problem},
};
use crate::{
    model::{Event, Family},
    source::Severity,
};
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

    /// An object has changed; of a slice also why, if its annotation says when.
    pub(super) fn changed(&mut self, event: Event, trigger: Option<SystemTime>) {
        if let (Event::SliceApplied(slice), Some(at)) = (&event, trigger) {
            self.triggers.push((slice.family, at));
        }
        self.events.push(event);
    }

    /// A notice is a line of the log too.
    pub(super) fn notice(&mut self, severity: Severity, about: About, notice: Notice) {
        self.problems.push(Problem::new(severity, about, notice.to_string()));
        self.notices.push(notice);
    }
}
