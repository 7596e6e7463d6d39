//! How much something matters that a source has to say.

/// How much a problem matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth a line: something was skipped, or what was wrong is over.
    Info,
    /// Something was not taken as written, or did not answer as it should.
    Warning,
    /// Something is left out, or nothing can be heard until somebody acts; what was known of it stays.
    Error,
}
