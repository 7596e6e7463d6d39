//! Drives the protocol of one kind: sends its requests, waits as it says, and hands on what it finds.

use super::{
    ahead::Ahead,
    decode::Status,
    describe::{describe, excerpt},
    ending::Ending,
    follow::Follow,
    items::{Item, Items, NoList},
    kind::Kind,
    lines::{Line, Lines},
    news::News,
    options::Options,
    problem::{About, Problem},
    random::Random,
    request::Request,
    servers::{Current, Servers},
    stats::{KubeStats, Outcome, Verb},
};
use crate::source::Severity;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Response, header};
use http_body_util::BodyExt as _;
use kube::client::Body;
use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, watch},
    task::yield_now,
    time::{sleep, sleep_until, timeout},
};

/// The longest part of a refusal that is read.
const REFUSAL: usize = 16 << 10;

/// So often others have their turn before it is believed that no more has come.
const TURNS: u32 = 2;

/// What a watcher hands on.
pub(super) struct Delivery {
    pub(super) kind: Kind,
    /// When it was read: it may have to wait until it is taken.
    pub(super) came: Instant,
    pub(super) news: News,
}

/// Follows one kind until the source is dropped.
pub(super) struct Watcher {
    pub(super) follow: Follow,
    pub(super) options: Arc<Options>,
    pub(super) servers: Arc<Servers>,
    pub(super) stats: Arc<KubeStats>,
    pub(super) random: Random,
    pub(super) deliveries: mpsc::Sender<Delivery>,
    /// Changes when an operator confirms what is held back.
    pub(super) confirmed: watch::Receiver<u64>,
}

/// Nobody listens any more.
struct Over;

/// Now, by the runtime's clock: monotonic, and a test can hold it.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The answer ended elsewhere than between two frames.
fn cut_off() -> Ending {
    Ending::Garbage("the watch was cut off within a frame".into())
}

impl Watcher {
    /// Begins after `wait`.
    pub(super) async fn run(mut self, wait: Duration) {
        // Ends when the source is dropped.
        let _ = self.go(wait).await;
    }

    async fn go(&mut self, mut wait: Duration) -> Result<(), Over> {
        loop {
            self.pause(wait).await?;
            let mut news = News::default();
            let current = self.servers.current();
            let ending = self.attempt(&current).await?;
            if ending.blames_server() {
                self.stats.reconnects.fetch_add(1, Relaxed);
                if self.servers.failed(&current) {
                    self.stats.failovers.fetch_add(1, Relaxed);
                    let text = format!("API server {}: {ending}; another one is asked", current.url);
                    news.problems.push(Problem::new(Severity::Warning, About::Server, text));
                }
            }
            if matches!(ending, Ending::Status { code: 401, .. })
                && let Err(error) = self.renew(&current).await
            {
                news.problems.push(Problem::new(Severity::Error, About::Access, error));
            }
            wait = self.follow.ended(&ending, &mut self.random, &mut news);
            self.hand_on(news).await?;
        }
    }

    /// Reads the credentials again. An exec plugin may hang; what was asked for with the old ones goes on.
    async fn renew(&self, current: &Current) -> Result<(), String> {
        let patience = self.options.answer;
        match timeout(patience, self.servers.renew(current)).await {
            Ok(renewed) => renewed.map_err(|error| error.to_string()),
            Err(_) => Err(format!("credentials for {}: not read within {patience:?}", current.url)),
        }
    }

    /// Waits, and heeds an operator meanwhile.
    async fn pause(&mut self, wait: Duration) -> Result<(), Over> {
        if wait.is_zero() {
            return Ok(());
        }
        let end = sleep(wait);
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return Ok(()),
                changed = self.confirmed.changed() => {
                    changed.map_err(|_| Over)?;
                    self.confirm().await?;
                }
            }
        }
    }

    async fn attempt(&mut self, current: &Current) -> Result<Ending, Over> {
        if self.follow.begins_list() && self.follow.is_complete() {
            self.stats.relists.fetch_add(1, Relaxed);
        }
        let request = self.follow.request(&mut self.random);
        let verb = if matches!(request, Request::Watch { .. }) { Verb::Watch } else { Verb::List };
        let http = http::Request::get(request.uri(self.follow.kind(), &self.options.node))
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("shunt/", env!("CARGO_PKG_VERSION")))
            .body(Body::empty());
        let http = match http {
            Ok(http) => http,
            Err(error) => return Ok(Ending::Transport(error.to_string())),
        };
        let begun = now();
        let answer = match timeout(self.options.answer, current.client.send(http)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.stats.answered(verb, Outcome::NoAnswer);
                return Ok(Ending::Transport(format!("{}: {}", current.url, describe(&error))));
            }
            Err(_) => {
                self.stats.answered(verb, Outcome::NoAnswer);
                return Ok(Ending::Silent(self.options.answer));
            }
        };
        self.stats.answered(verb, Outcome::of(answer.status().as_u16()));
        self.stats.heard(0, now());
        if !answer.status().is_success() {
            return Ok(self.refusal(answer).await);
        }
        let body = answer.into_body();
        if request.is_stream() { self.stream(body, begun).await } else { self.list(body).await }
    }

    /// Reads why the server refused.
    async fn refusal(&self, answer: Response<Body>) -> Ending {
        let code = answer.status().as_u16();
        let header = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let header = header.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let (mut body, mut text) = (answer.into_body(), Vec::new());
        // What has come by then is enough.
        let _ = timeout(self.options.answer, async {
            while text.len() < REFUSAL
                && let Some(Ok(frame)) = body.frame().await
            {
                text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            }
        })
        .await;
        text.truncate(REFUSAL);
        let status = Status::read(&text);
        let retry_after = header.or_else(|| status.retry_after());
        let message = if status.message.is_empty() { excerpt(&text) } else { status.message };
        Ending::Status { code, retry_after, message }
    }

    /// Reads the frames of a watch until it ends.
    async fn stream(&mut self, mut body: Body, begun: Instant) -> Result<Ending, Over> {
        let mut lines = Lines::new(self.options.longest_object);
        loop {
            let chunk = match self.chunk(&mut body).await? {
                Ok(Some(chunk)) => chunk,
                Ok(None) if lines.is_between() => {
                    return Ok(Ending::Closed { lasted: now().saturating_duration_since(begun) });
                }
                Ok(None) => return Ok(cut_off()),
                Err(Ending::Silent(wait)) if self.follow.is_watching() && lines.is_between() => {
                    return Ok(Ending::Idle(wait));
                }
                Err(ending) => return Ok(ending),
            };
            let came = now();
            let mut ahead = Ahead::new(self.follow.is_watching());
            let ended = self.read_ahead(chunk, &mut body, &mut lines, &mut ahead).await;
            let (follow, longest) = (&mut self.follow, self.options.longest_object);
            let mut news = News::default();
            let outcome = ahead.each(|line| match line {
                Line::Whole(line) => follow.frame(line, came, &mut news),
                Line::TooLong => {
                    follow.too_long(longest, &mut news);
                    Ok(())
                }
            });
            self.deliver(news, came).await?;
            match outcome.err().or(ended) {
                Some(Ending::Closed { .. }) if lines.is_between() => {
                    return Ok(Ending::Closed { lasted: now().saturating_duration_since(begun) });
                }
                Some(Ending::Closed { .. }) => return Ok(cut_off()),
                Some(ending) => return Ok(ending),
                None => {}
            }
        }
    }

    /// Takes in what has come, a list piece by piece, of changes all that is there already. Where the answer ended
    /// meanwhile: how.
    async fn read_ahead(
        &self,
        first: Bytes,
        body: &mut Body,
        lines: &mut Lines,
        ahead: &mut Ahead,
    ) -> Option<Ending> {
        let mut chunk = first;
        loop {
            // It ends by no error.
            let _ = lines.feed(&chunk, |line| {
                ahead.push(line);
                Ok::<_, Infallible>(())
            });
            if !self.follow.is_watching() || !ahead.has_room() {
                return None;
            }
            let mut turns = 0;
            chunk = loop {
                match body.frame().now_or_never() {
                    // The connection is read by a task of its own, which must have its turn.
                    None if turns < TURNS => {
                        turns += 1;
                        yield_now().await;
                    }
                    None => return None,
                    Some(None) => return Some(Ending::Closed { lasted: Duration::ZERO }),
                    Some(Some(Err(error))) => return Some(Ending::Transport(describe(&error))),
                    // Other frames are trailers.
                    Some(Some(Ok(frame))) => {
                        if let Ok(data) = frame.into_data() {
                            break data;
                        }
                    }
                }
            };
            self.stats.heard(chunk.len(), now());
        }
    }

    /// Reads a page.
    async fn list(&mut self, mut body: Body) -> Result<Ending, Over> {
        let mut items = Items::new(self.options.longest_object);
        loop {
            let chunk = match self.chunk(&mut body).await? {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(ending) => return Ok(ending),
            };
            let (follow, longest) = (&mut self.follow, self.options.longest_object);
            let mut news = News::default();
            let outcome = items.feed(&chunk, |item| match item {
                Item::Whole(item) => follow.item(item, &mut news),
                Item::TooLong => follow.too_long(longest, &mut news),
            });
            self.hand_on(news).await?;
            match outcome {
                Ok(()) => {}
                Err(NoList::NoObject) => {
                    return Ok(Ending::Garbage(format!("no JSON object: {}", excerpt(&chunk))));
                }
                Err(NoList::TooLong) => return Ok(Ending::Garbage("a list that does not end".into())),
            }
        }
        let Some(rest) = items.rest() else { return Ok(Ending::Garbage("the list was cut off".into())) };
        let mut news = News::default();
        let outcome = self.follow.page(rest, now(), &mut news);
        self.hand_on(news).await?;
        Ok(outcome.err().unwrap_or(Ending::Done))
    }

    /// The next piece of an answer; `None` where it is over.
    async fn chunk(&mut self, body: &mut Body) -> Result<Result<Option<Bytes>, Ending>, Over> {
        let mut silence = self.options.silence;
        if self.follow.is_watching() {
            // What came last came to all nodes at once.
            silence += self.random.up_to(silence);
        }
        let patience = sleep(silence);
        tokio::pin!(patience);
        loop {
            let confirmation = self.follow.confirmation();
            let due = async {
                match confirmation {
                    Some(due) => sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                frame = body.frame() => return Ok(match frame {
                    None => Ok(None),
                    Some(Err(error)) => Err(Ending::Transport(describe(&error))),
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            self.stats.heard(data.len(), now());
                            Ok(Some(data))
                        }
                        // Trailers.
                        Err(_) => continue,
                    },
                }),
                () = &mut patience => return Ok(Err(Ending::Silent(silence))),
                () = due => return Ok(Err(Ending::Confirm)),
                changed = self.confirmed.changed() => {
                    changed.map_err(|_| Over)?;
                    self.confirm().await?;
                }
            }
        }
    }

    async fn confirm(&mut self) -> Result<(), Over> {
        let mut news = News::default();
        self.follow.confirm(&mut news);
        self.hand_on(news).await
    }

    async fn hand_on(&self, news: News) -> Result<(), Over> {
        self.deliver(news, now()).await
    }

    /// Hands on what was read at a moment.
    async fn deliver(&self, news: News, came: Instant) -> Result<(), Over> {
        let kind = self.follow.kind();
        self.stats.holds_back(kind, self.follow.held_back());
        self.stats.refused_objects.fetch_add(news.refused, Relaxed);
        if news.is_empty() {
            return Ok(());
        }
        self.deliveries.send(Delivery { kind, came, news }).await.map_err(|_| Over)
    }
}
