//! What the operator should hear of, and how often.

use crate::source::{
    Severity,
    kubernetes::{ObjectId, Warning, printable},
};
use std::fmt;

/// What a [`Problem`] is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum About {
    /// A field of an object was not taken as written.
    Field,
    /// An object could not be read; what was known of it stays.
    Object,
    /// A request failed, or its answer made no sense.
    Server,
    /// The server does not know who we are, or does not let us see the objects.
    Access,
    /// Deletions that are held back until a second list or an operator confirms them.
    HeldBack,
}

/// Something about the API's objects or servers that the operator should hear of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub about: About,
    /// The object, where there is one.
    pub object: Option<ObjectId>,
    /// What is wrong and what was done, on one line.
    pub text: String,
}

impl Problem {
    pub(super) fn new(severity: Severity, about: About, text: impl Into<String>) -> Self {
        Self { severity, about, object: None, text: printable(text.into()) }
    }

    pub(super) fn object(id: Option<ObjectId>, text: impl Into<String>) -> Self {
        Self { object: id, ..Self::new(Severity::Error, About::Object, text) }
    }
}

impl From<Warning> for Problem {
    fn from(Warning { object, field, text }: Warning) -> Self {
        let text = format!("{field}: {text}");
        Self { object: Some(object), ..Self::new(Severity::Warning, About::Field, text) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.text)
    }
}
