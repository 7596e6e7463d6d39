//! The protocol of one kind: which request is due, and what its answer means. Pure: knows neither sockets nor
//! clocks; its driver tells it what came and when, and sends what it asks for.

use super::{
    backoff::Backoff,
    decode,
    ending::Ending,
    guard::{Guard, Verdict},
    kind::Kind,
    known::Known,
    news::News,
    notice::{Confirmed, Notice},
    problem::{About, Problem, Severity},
    random::Random,
    request::Request,
};
use crate::model::{Event, ObjectName};
use std::time::{Duration, Instant, SystemTime};

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
    staged: News,
    /// The list has an object whose name could not be read: which ones are gone is not known.
    blind: bool,
    /// The server knows lists that stream.
    streaming: bool,
    /// Objects that were known when the list began.
    prior: usize,
    /// The API has no such kind, and that was said.
    absent: bool,
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
        let percent = if kind.is_guarded() { percent } else { 100 };
        Self {
            kind,
            known: Known::default(),
            guard: Guard::new(percent, confirm_after),
            backoff: Backoff::new(limits.backoff.0, limits.backoff.1),
            next: Next::List,
            version: String::new(),
            complete: false,
            staged: News::default(),
            blind: false,
            streaming: true,
            prior: 0,
            absent: false,
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

    /// Whether the next request begins a list.
    pub(super) fn begins_list(&self) -> bool {
        self.next == Next::List
    }

    /// Objects whose deletion is held back.
    pub(super) fn held_back(&self) -> usize {
        if self.guard.due().is_some() { self.known.doubted() } else { 0 }
    }

    /// When the list that is to confirm a former one is due.
    pub(super) fn confirmation(&self) -> Option<Instant> {
        // While a list is being read or asked for, it is the one.
        self.guard.due().filter(|_| self.next == Next::Watch)
    }

    /// The request that is due.
    pub(super) fn request(&mut self, random: &mut Random) -> Request {
        let (least, most) = self.limits.watch;
        let timeout = least + random.up_to(most.saturating_sub(least));
        match &self.next {
            Next::List | Next::Initial => {
                self.known.begin();
                self.prior = self.known.len();
                self.staged = News::default();
                self.blind = false;
                if self.streaming {
                    self.next = Next::Initial;
                    Request::StreamingList { timeout }
                } else {
                    self.next = Next::List;
                    Request::FirstPage
                }
            }
            Next::Page(token) => Request::NextPage { token: token.clone() },
            Next::Watch => Request::Watch { version: self.version.clone(), timeout },
        }
    }

    /// A frame of a watch came.
    pub(super) fn frame(&mut self, line: &[u8], now: Instant, news: &mut News) -> Result<(), Ending> {
        let frame = decode::frame(line).map_err(|error| Ending::Garbage(error.to_string()))?;
        match &*frame.type_ {
            "ADDED" | "MODIFIED" => self.object(frame.object(), news),
            "DELETED" => self.deleted(frame.object(), news),
            "BOOKMARK" => {
                let bookmark = decode::bookmark(frame.object())
                    .map_err(|error| Ending::Garbage(format!("a bookmark: {error}")))?;
                if self.next != Next::Initial {
                    self.version = bookmark.version;
                } else if bookmark.initial_events_end {
                    self.version = bookmark.version;
                    self.list_complete(now, news);
                }
            }
            "ERROR" => {
                let status = decode::Status::read(frame.object().as_bytes());
                let retry_after = status.retry_after();
                let expired = status.reason == "Expired" || status.reason == "Gone";
                let code = if expired { 410 } else { status.code };
                return Err(Ending::Status { code, retry_after, message: status.message });
            }
            other => {
                let text = format!("{}: a watch event of unknown type {other:?}, ignored", self.kind);
                news.problems.push(Problem::new(Severity::Warning, About::Server, text));
            }
        }
        if self.next == Next::Watch {
            self.succeeded(news);
        }
        Ok(())
    }

    /// A frame or an item came that is longer than it may be.
    pub(super) fn too_long(&mut self, longest: usize, news: &mut News) {
        self.blind = true;
        let text = format!("{}: an object of more than {longest} bytes is left out", self.kind);
        news.problems.push(Problem::object(None, text));
        news.refused += 1;
    }

    /// An item of a page came.
    pub(super) fn item(&mut self, json: &[u8], news: &mut News) {
        match std::str::from_utf8(json) {
            Ok(json) => self.object(json, news),
            Err(error) => self.unreadable("", &error.to_string(), news),
        }
    }

    /// A page ended; `rest` is the list without its items.
    pub(super) fn page(&mut self, rest: &[u8], now: Instant, news: &mut News) -> Result<(), Ending> {
        let list = decode::list(rest).map_err(|error| Ending::Garbage(format!("a list: {error}")))?;
        if list.metadata.token.is_empty() {
            if list.metadata.resource_version.is_empty() {
                return Err(Ending::Garbage("a list without a resource version".into()));
            }
            self.version = list.metadata.resource_version;
            self.list_complete(now, news);
        } else {
            self.next = Next::Page(list.metadata.token);
        }
        Ok(())
    }

    /// An operator believes what is held back.
    pub(super) fn confirm(&mut self, news: &mut News) {
        if self.guard.due().is_none() {
            return;
        }
        self.guard.clear();
        self.complete = true;
        news.complete = true;
        self.release(Confirmed::Operator, news);
    }

    /// The request came to its end: how long to wait before the next one.
    pub(super) fn ended(&mut self, ending: &Ending, random: &mut Random, news: &mut News) -> Duration {
        if self.next == Next::Initial {
            self.next = Next::List;
        }
        match ending {
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
            Ending::Status { code: 403 | 404, .. } if self.kind.is_optional() => {
                self.next = Next::List;
                self.absent(ending, news);
                self.limits.absent + random.up_to(self.limits.absent)
            }
            other => {
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
    }

    fn tell(&self, ending: &Ending, wait: Duration, news: &mut News) {
        let kind = self.kind;
        match ending {
            Ending::Status { code: 403, message, .. } => {
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
        self.known.begin();
        self.remove_unnamed(news);
        self.complete = true;
        news.complete = true;
    }

    fn object(&mut self, json: &str, news: &mut News) {
        let decoded = match decode::object(self.kind, json) {
            Ok(decoded) if !decoded.name.name.is_empty() => decoded,
            Ok(_) => return self.unreadable(json, "it has no name", news),
            Err(error) => return self.unreadable(json, &error.to_string(), news),
        };
        self.advance(decoded.version);
        let Some(event) = decoded.applied else {
            self.gone(&decoded.name, news);
            news.problems.extend(decoded.warnings.into_iter().map(Problem::from));
            return;
        };
        if !self.known.apply(&decoded.name, &event) {
            return;
        }
        news.problems.extend(decoded.warnings.into_iter().map(Problem::from));
        let target = if self.stages() { &mut self.staged } else { news };
        if let (Event::SliceApplied(slice), Some(trigger)) = (&event, decoded.trigger)
            && trigger >= self.limits.started
        {
            target.triggers.push((slice.family, trigger));
        }
        target.events.push(event);
    }

    fn deleted(&mut self, json: &str, news: &mut News) {
        match decode::object(self.kind, json) {
            Ok(decoded) => {
                self.advance(decoded.version);
                self.gone(&decoded.name, news);
            }
            Err(error) => match decode::name(json) {
                Some(name) => self.gone(&name, news),
                None => self.unreadable(json, &error.to_string(), news),
            },
        }
    }

    fn gone(&mut self, name: &ObjectName, news: &mut News) {
        if self.known.remove(name) {
            let target = if self.stages() { &mut self.staged } else { news };
            target.events.push(self.kind.id(name.clone()).deleted());
        }
    }

    /// An object that cannot be read: what was known of it stays.
    fn unreadable(&mut self, json: &str, why: &str, news: &mut News) {
        let name = decode::name(json);
        match &name {
            Some(name) => self.known.keep(name),
            None => self.blind = true,
        }
        let (kind, id) = (self.kind, name.map(|name| self.kind.id(name)));
        let what = if id.is_some() { String::new() } else { format!("{kind}: an object without a name: ") };
        let text = format!("{what}cannot be read: {why}; what was known of it stays");
        news.problems.push(Problem::object(id, text));
        news.refused += 1;
    }

    /// While a watch goes on, each event is where the next one begins.
    fn advance(&mut self, version: String) {
        if self.next == Next::Watch && !version.is_empty() {
            self.version = version;
        }
    }

    /// Whether changes wait until the list is complete.
    fn stages(&self) -> bool {
        self.complete && self.next != Next::Watch
    }

    fn list_complete(&mut self, now: Instant, news: &mut News) {
        self.next = Next::Watch;
        self.succeeded(news);
        // Another server, or this one after an upgrade, may know what it did not when the list began.
        (self.streaming, self.absent) = (true, false);
        let staged = std::mem::take(&mut self.staged);
        let believed = self.blind || self.judge(now, news);
        if believed && !self.blind {
            self.remove_unnamed(news);
        }
        news.append(staged);
        if believed {
            self.complete = true;
            news.complete = true;
        }
    }

    /// Whether the list is believed. Says so where not, and deletes what it confirms.
    fn judge(&mut self, now: Instant, news: &mut News) -> bool {
        loop {
            let (named, unnamed) = (self.known.named(), self.known.unnamed());
            // A first list is measured by what an earlier agent left in the kernel.
            let first = if self.complete { 0 } else { self.limits.before.saturating_sub(named) };
            let gone = unnamed.max(first);
            let before = if self.complete { self.prior } else { self.prior.max(self.limits.before) };
            let held_already = self.guard.due().is_some();
            match self.guard.judge(before, gone, named, now) {
                Verdict::Apply => return true,
                Verdict::Confirmed => {
                    self.release(Confirmed::SecondList, news);
                    if !self.complete {
                        return true;
                    }
                }
                Verdict::Hold(due) => {
                    if !held_already {
                        self.known.doubt_unnamed();
                    }
                    let wait = due.saturating_duration_since(now);
                    let notice = Notice::HeldBack { kind: self.kind, lacking: gone, before, wait };
                    news.notice(Severity::Error, About::HeldBack, notice);
                    return false;
                }
            }
        }
    }

    /// Deletes what is doubted.
    fn release(&mut self, by: Confirmed, news: &mut News) {
        let gone = self.known.remove_doubted();
        let notice = Notice::Released { kind: self.kind, deleted: gone.len(), by };
        news.notice(Severity::Info, About::HeldBack, notice);
        news.events.extend(gone.into_iter().map(|name| self.kind.id(name).deleted()));
    }

    fn remove_unnamed(&mut self, news: &mut News) {
        for name in self.known.remove_unnamed() {
            news.events.push(self.kind.id(name).deleted());
        }
    }
}
