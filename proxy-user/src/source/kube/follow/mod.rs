//! The protocol of one kind: which request is due, and what its answer means. Pure: knows neither sockets nor
//! clocks; its driver tells it what came and when, and sends what it asks for.

mod intake;
mod relist;
#[cfg(test)]
mod tests;

use super::{
    backoff::Backoff,
    ending::Ending,
    guard::Guard,
    kind::Kind,
    known::Known,
    news::News,
    notice::Notice,
    problem::{About, Problem},
    random::Random,
    request::{Request, State},
    staged::Staged,
};
use crate::source::Severity;
use std::time::{Duration, SystemTime};

/// Times and limits of the protocol; see the options of the source.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) backoff: (Duration, Duration),
    pub(super) watch: (Duration, Duration),
    pub(super) relist_spread: Duration,
    pub(super) absent: Duration,
    pub(super) guard: (u8, Duration),
    /// Objects of this kind that an earlier agent left in the kernel.
    pub(super) before: usize,
    /// Triggers before that moment are not told.
    pub(super) started: SystemTime,
}

/// An API server that has just started denies everything until it has read the roles: so many denials in a row are
/// not told as what an operator has to mend.
const DENIALS: u32 = 2;

/// Follows one kind of objects.
#[derive(Debug)]
pub(super) struct Follow {
    kind: Kind,
    limits: Limits,
    known: Known,
    guard: Guard,
    backoff: Backoff,
    next: Next,
    /// Where the watch goes on.
    version: String,
    /// A list was complete and believed.
    complete: bool,
    /// Changes of a later list, until it is complete.
    staged: Staged,
    /// The list has an object whose name could not be read: which ones are gone is not known.
    blind: bool,
    /// A server does not have the version that was seen.
    ahead: bool,
    /// The server knows lists that stream.
    streaming: bool,
    /// Objects that were known when the list began.
    prior: usize,
    /// What the list that is held back lacks.
    lacking: usize,
    /// The API has no such kind, and that was said.
    absent: bool,
    /// Denials in a row.
    denied: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Next {
    List,
    Page(String),
    Watch,
    /// In the first part of a watch that begins with a list.
    Initial,
}

impl Follow {
    pub(super) fn new(kind: Kind, limits: Limits) -> Self {
        let (percent, confirm_after) = limits.guard;
        Self {
            kind,
            known: Known::default(),
            guard: Guard::new(percent, confirm_after),
            backoff: Backoff::new(limits.backoff.0, limits.backoff.1),
            next: Next::List,
            version: String::new(),
            complete: false,
            staged: Staged::default(),
            blind: false,
            ahead: false,
            streaming: true,
            prior: 0,
            lacking: 0,
            absent: false,
            denied: 0,
            limits,
        }
    }

    /// Its kind.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a list was complete and believed.
    pub(super) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the list is behind it, and the watch goes on.
    pub(super) fn is_watching(&self) -> bool {
        self.next == Next::Watch
    }

    /// Whether the next request begins a list.
    pub(super) fn begins_list(&self) -> bool {
        self.next == Next::List
    }

    /// The request that is due.
    pub(super) fn request(&mut self, random: &mut Random) -> Request {
        let (least, most) = self.limits.watch;
        let timeout = least + random.up_to(most.saturating_sub(least));
        match &self.next {
            Next::List | Next::Initial => {
                self.known.begin();
                self.prior = self.known.len();
                self.staged = Staged::default();
                self.blind = false;
                if self.streaming {
                    self.next = Next::Initial;
                    Request::StreamingList { timeout }
                } else {
                    self.next = Next::List;
                    Request::FirstPage { state: self.state() }
                }
            }
            Next::Page(token) => Request::NextPage { token: token.clone() },
            Next::Watch => Request::Watch { version: self.version.clone(), timeout },
        }
    }

    /// Which state of the objects a list may show: none that is older than what was seen.
    fn state(&self) -> State {
        match &*self.version {
            _ if self.ahead => State::Newest,
            "" => State::Any,
            version => State::Since(version.to_owned()),
        }
    }

    /// The request came to its end: how long to wait before the next one.
    pub(super) fn ended(&mut self, ending: &Ending, random: &mut Random, news: &mut News) -> Duration {
        if self.next == Next::Initial {
            self.next = Next::List;
            // One that was asked for a list that streams, and never says that this is its end: a proxy before the API
            // server, or storage that cannot. Pages come to theirs.
            let endless = match ending {
                Ending::Silent(_) => true,
                Ending::Closed { lasted } => *lasted >= self.limits.watch.0,
                _ => false,
            };
            self.streaming &= !endless;
        }
        match ending {
            // It goes on where it was.
            Ending::Idle(_) => Duration::ZERO,
            Ending::Done => {
                self.succeeded(news);
                Duration::ZERO
            }
            Ending::Confirm => {
                self.next = Next::List;
                Duration::ZERO
            }
            Ending::Closed { lasted } if self.next == Next::Watch => {
                if *lasted >= self.limits.backoff.0 {
                    self.succeeded(news);
                    return Duration::ZERO;
                }
                // One that ends at once may do so for ever.
                self.backoff.failed(None, random)
            }
            // After a restart of the server, all watchers hear this at once.
            Ending::Status { code: 410, .. } if self.next == Next::Watch => {
                self.next = Next::List;
                random.up_to(self.limits.relist_spread)
            }
            // It knows no streaming list: Kubernetes before 1.32, or a feature gate. What is wrong with another
            // request will not get better by asking the same again, so it is not retried at once either.
            Ending::Status { code: 400 | 422, .. } if self.streaming && self.next == Next::List => {
                self.streaming = false;
                Duration::ZERO
            }
            // Where there were some, they stay, as with every other failure.
            Ending::Status { code, .. }
                if self.kind.is_optional()
                    && self.known.len() == 0
                    && (*code == 404 || *code == 403 && self.denied >= DENIALS) =>
            {
                self.next = Next::List;
                self.absent(ending, news);
                self.limits.absent + random.up_to(self.limits.absent)
            }
            other => {
                self.ahead |= self.next == Next::List && other.is_of_version();
                if matches!(self.next, Next::Page(_)) {
                    self.next = Next::List;
                }
                let retry_after = match other {
                    Ending::Status { retry_after, .. } => *retry_after,
                    _ => None,
                };
                let wait = self.backoff.failed(retry_after, random);
                self.tell(other, wait, news);
                wait
            }
        }
    }

    /// The server does what was asked: said once, if it did not before.
    pub(super) fn succeeded(&mut self, news: &mut News) {
        if self.backoff.failures() > 1 {
            let text = format!("{}: the API server answers again", self.kind);
            news.problems.push(Problem::new(Severity::Info, About::Server, text));
        }
        self.backoff.succeeded();
        self.denied = 0;
    }

    fn tell(&mut self, ending: &Ending, wait: Duration, news: &mut News) {
        let kind = self.kind;
        let is_denial = matches!(ending, Ending::Status { code: 403, .. });
        self.denied = if is_denial { self.denied.saturating_add(1) } else { 0 };
        match ending {
            Ending::Status { code: 403, message, .. } if self.denied > DENIALS => {
                let notice = Notice::Forbidden { kind, message: message.clone() };
                news.notice(Severity::Error, About::Access, notice);
            }
            Ending::Status { code: 401, .. } => {
                let text = format!(
                    "{kind}: the API server does not accept our credentials ({ending}); they are read again, and it is \
                     asked again in {wait:.1?}"
                );
                news.problems.push(Problem::new(Severity::Error, About::Access, text));
            }
            _ => {
                let text =
                    format!("{kind}: {ending}; asked again in {wait:.1?}, and until then nothing changes");
                news.problems.push(Problem::new(Severity::Warning, About::Server, text));
            }
        }
    }

    /// The API has no such kind, or hides it.
    fn absent(&mut self, ending: &Ending, news: &mut News) {
        if !std::mem::replace(&mut self.absent, true) {
            let text = format!("{}: none are known: {ending}; asked again now and then", self.kind);
            news.problems.push(Problem::new(Severity::Info, About::Access, text));
        }
        self.backoff.succeeded();
        self.complete = true;
        news.complete = true;
    }
}
