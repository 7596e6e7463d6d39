//! How a request, or the watch that it became, came to its end.

use std::{fmt, time::Duration};

/// The end of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    /// A page was read as a whole, and another request is due.
    Done,
    /// The server ended the watch between two frames, as it does after its time.
    Closed {
        /// How long it lasted.
        lasted: Duration,
    },
    /// A status other than 2xx, of the answer or in the stream.
    Status {
        /// The code.
        code: u16,
        /// What the server asks for.
        retry_after: Option<Duration>,
        /// What it says.
        message: String,
    },
    /// No connection, or one that failed.
    Transport(String),
    /// Nothing came for longer than bookmarks take.
    Silent(Duration),
    /// The same between two frames of a watch: where nothing changes there may be no bookmarks either, since one says
    /// that the version has changed. Only a server that does not answer the next request is gone.
    Idle(Duration),
    /// What came is not what was asked for, or was cut off.
    Garbage(String),
    /// Another list is due, to confirm one that was held back.
    Confirm,
}

impl Ending {
    /// Whether another server may do better.
    pub(super) const fn blames_server(&self) -> bool {
        match self {
            Self::Status { code, .. } => *code >= 500,
            Self::Transport(_) | Self::Silent(_) | Self::Garbage(_) => true,
            Self::Done | Self::Closed { .. } | Self::Confirm | Self::Idle(_) => false,
        }
    }
}

impl Ending {
    /// Whether the server has not the version that was asked for, not yet or not any more
    /// (k8s.io/apiserver/pkg/storage/errors.go, NewTooLargeResourceVersionError).
    pub(super) fn is_of_version(&self) -> bool {
        match self {
            Self::Status { code: 410, .. } => true,
            Self::Status { code: 504, message, .. } => message.contains("Too large resource version"),
            _ => false,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("the list goes on"),
            Self::Closed { lasted } => write!(f, "the server ended the watch after {lasted:?}"),
            Self::Status { code, message, .. } if message.is_empty() => write!(f, "status {code}"),
            Self::Status { code, message, .. } => write!(f, "status {code}: {message}"),
            Self::Transport(why) => f.write_str(why),
            Self::Silent(wait) | Self::Idle(wait) => write!(f, "nothing came for {wait:?}"),
            Self::Garbage(why) => write!(f, "no sense in the answer: {why}"),
            Self::Confirm => f.write_str("a second list is due"),
        }
    }
}
