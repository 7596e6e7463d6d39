//! The end of a list: what it deletes, and what is held back.

use super::{
    super::{
        guard::Verdict,
        news::News,
        notice::{Confirmed, Notice},
        problem::About,
    },
    Follow, Next,
};
use crate::source::Severity;
use std::time::Instant;

impl Follow {
    /// Objects whose deletion is held back.
    pub(in super::super) fn held_back(&self) -> usize {
        match self.guard.due() {
            None => 0,
            Some(_) if self.complete => self.known.doubted(),
            // The kernel has them, from an earlier agent.
            Some(_) => self.lacking,
        }
    }

    /// When the list that is to confirm a former one is due.
    pub(in super::super) fn confirmation(&self) -> Option<Instant> {
        // While a list is being read or asked for, it is the one.
        self.guard.due().filter(|_| self.next == Next::Watch)
    }

    /// An operator believes what is held back.
    pub(in super::super) fn confirm(&mut self, news: &mut News) {
        if self.guard.due().is_none() {
            return;
        }
        self.guard.clear();
        self.complete = true;
        news.complete = true;
        self.release(Confirmed::Operator, news);
    }

    pub(super) fn list_complete(&mut self, now: Instant, news: &mut News) {
        self.next = Next::Watch;
        self.succeeded(news);
        // Another server, or this one after an upgrade, may know what it did not when the list began.
        (self.streaming, self.absent, self.ahead) = (true, false, false);
        let staged = std::mem::take(&mut self.staged);
        let believed = self.blind || self.judge(staged.new_objects(), now, news);
        if believed && !self.blind {
            self.remove_unnamed(news);
        }
        staged.commit(&mut self.known, news);
        if believed {
            self.complete = true;
            news.complete = true;
        }
    }

    /// Whether the list is believed. Says so where not, and deletes what it confirms.
    fn judge(&mut self, new: usize, now: Instant, news: &mut News) -> bool {
        loop {
            let (named, unnamed) = (self.known.named() + new, self.known.unnamed());
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
                    self.lacking = gone;
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

    pub(super) fn remove_unnamed(&mut self, news: &mut News) {
        for name in self.known.remove_unnamed() {
            news.events.push(self.kind.id(name).deleted());
        }
    }
}
