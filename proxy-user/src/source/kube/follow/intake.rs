//! What comes: frames of a watch and items of a page.

use super::{
    super::{
        decode,
        ending::Ending,
        news::News,
        problem::{About, Problem},
    },
    Follow, Next,
};
use crate::{model::ObjectName, source::Severity};
use std::time::Instant;

impl Follow {
    /// A frame of a watch came.
    pub(in super::super) fn frame(
        &mut self,
        line: &[u8],
        now: Instant,
        news: &mut News,
    ) -> Result<(), Ending> {
        let frame = decode::frame(line).map_err(|error| Ending::Garbage(error.to_string()))?;
        match &*frame.type_ {
            "ADDED" | "MODIFIED" => self.object(frame.object, news),
            "DELETED" => self.deleted(frame.object, news),
            "BOOKMARK" => {
                let bookmark = decode::bookmark(frame.object)
                    .map_err(|error| Ending::Garbage(format!("a bookmark: {error}")))?;
                if self.next != Next::Initial {
                    self.version = bookmark.version;
                } else if bookmark.initial_events_end {
                    self.version = bookmark.version;
                    self.list_complete(now, news);
                }
            }
            "ERROR" => {
                let status = decode::Status::read(frame.object.as_bytes());
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
    pub(in super::super) fn too_long(&mut self, longest: usize, news: &mut News) {
        self.blind = true;
        let text = format!("{}: an object of more than {longest} bytes is left out", self.kind);
        news.problems.push(Problem::object(None, text));
        news.refused += 1;
    }

    /// An item of a page came.
    pub(in super::super) fn item(&mut self, json: &[u8], news: &mut News) {
        match std::str::from_utf8(json) {
            Ok(json) => self.object(json, news),
            Err(error) => self.unreadable("", &error.to_string(), news),
        }
    }

    /// A page ended; `rest` is the list without its items.
    pub(in super::super) fn page(
        &mut self,
        rest: &[u8],
        now: Instant,
        news: &mut News,
    ) -> Result<(), Ending> {
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
        let trigger = decoded.trigger.filter(|trigger| *trigger >= self.limits.started);
        let is_news = if self.stages() {
            self.staged.apply(&mut self.known, decoded.name, event, trigger)
        } else if self.known.apply(&decoded.name, &event) {
            news.changed(event, trigger);
            true
        } else {
            false
        };
        if is_news {
            news.problems.extend(decoded.warnings.into_iter().map(Problem::from));
        }
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
        if self.stages() {
            self.staged.remove(&mut self.known, name);
        } else if self.known.remove(name) {
            news.events.push(self.kind.id(name.clone()).deleted());
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
}
