//! What an operator must know of the API server, for Events.

use super::kind::Kind;
use std::{fmt, time::Duration};

/// Something that waits for an operator, or did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A list lacks so much that nothing is deleted yet.
    HeldBack {
        /// Of what.
        kind: Kind,
        /// How many objects it lacks.
        lacking: usize,
        /// Of how many.
        before: usize,
        /// Another list is due after so long.
        wait: Duration,
    },
    /// What was held back was applied.
    Released {
        /// Of what.
        kind: Kind,
        /// How many objects were deleted.
        deleted: usize,
        /// Who says so.
        by: Confirmed,
    },
    /// RBAC does not let us see these objects.
    Forbidden {
        /// Which.
        kind: Kind,
        /// What the API server says.
        message: String,
    },
}

/// Who confirmed deletions that were held back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Confirmed {
    /// Another list that lacks the same.
    SecondList,
    /// An operator.
    Operator,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeldBack { kind, lacking, before, wait } => write!(
                f,
                "{kind}: the API server's list lacks {lacking} of {before}: they stay until a second list confirms it, \
                 in {wait:.0?}, or an operator does"
            ),
            Self::Released { kind, deleted, by } => {
                let who = match by {
                    Confirmed::SecondList => "a second list",
                    Confirmed::Operator => "an operator",
                };
                write!(f, "{kind}: {who} confirms what was held back: {deleted} deleted")
            }
            Self::Forbidden { kind, message } => {
                let (group, resource) = kind.resource();
                write!(
                    f,
                    "{kind}: the API server forbids it; a ClusterRole needs {{apiGroups: [\"{group}\"], resources: \
                     [\"{resource}\"], verbs: [\"list\", \"watch\"]}}: {message}"
                )
            }
        }
    }
}
