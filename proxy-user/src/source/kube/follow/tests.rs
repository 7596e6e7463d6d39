//! Any order of changes, lists, watches and failures ends in the server's objects, and never loses one on the way.

use super::{
    super::{
        ending::Ending,
        kind::Kind,
        news::News,
        random::Random,
        request::{Request, State},
    },
    Follow, Limits,
};
use crate::model::Event;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

type Objects = BTreeMap<String, u8>;

/// What happens next.
#[derive(Clone, Debug)]
enum Op {
    Put(u8, u8),
    Delete(u8),
    /// All history is forgotten.
    Compact,
    /// The server learns or forgets lists that stream.
    Streaming(bool),
    Pass(Duration),
    /// The request that is due is answered.
    Answer(Answer),
}

#[derive(Clone, Debug)]
enum Answer {
    /// Properly, but cut after so many frames or items.
    Proper(usize, End),
    Status(u16),
    Garbage,
    /// An empty list; not more than once, as a second one would confirm it.
    Lie,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Broken,
    Silent,
}

#[derive(Default)]
struct Server {
    version: usize,
    oldest: usize,
    streaming: bool,
    /// The objects at each version, from version zero.
    snapshots: Vec<Objects>,
}

impl Server {
    fn change(&mut self, change: impl FnOnce(&mut Objects)) {
        let mut objects = self.snapshots.last().cloned().unwrap_or_default();
        change(&mut objects);
        self.snapshots.push(objects);
        self.version = self.snapshots.len() - 1;
    }

    fn now(&self) -> &Objects {
        &self.snapshots[self.version]
    }

    /// Frames of a watch since a version.
    fn since(&self, version: usize) -> Vec<Value> {
        let mut frames = Vec::new();
        for at in version + 1..=self.version {
            let (before, after) = (&self.snapshots[at - 1], &self.snapshots[at]);
            for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(value)) {
                let kind = if before.contains_key(name) { "MODIFIED" } else { "ADDED" };
                frames.push(json!({"type": kind, "object": object(name, *value, at)}));
            }
            for (name, value) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
                frames.push(json!({"type": "DELETED", "object": object(name, *value, at)}));
            }
        }
        frames
    }
}

fn object(name: &str, value: u8, version: usize) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "resourceVersion": version.to_string()},
        "spec": {"clusterIP": format!("10.0.0.{value}"), "ports": [{"port": 80}]},
    })
}

fn bookmark(version: usize, end: bool) -> Value {
    let annotations = if end { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
    json!({"type": "BOOKMARK",
        "object": {"metadata": {"resourceVersion": version.to_string(), "annotations": annotations}}})
}

struct World {
    server: Server,
    follow: Follow,
    random: Random,
    now: Instant,
    objects: Objects,
    /// Objects that the server has had ever since the client was complete.
    steady: BTreeSet<String>,
    /// What was deleted since the last list began: its watch will tell.
    deleted: BTreeSet<String>,
    lied: bool,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            backoff: (Duration::from_secs(1), Duration::from_secs(30)),
            watch: (Duration::from_secs(300), Duration::from_secs(600)),
            relist_spread: Duration::from_secs(5),
            absent: Duration::from_secs(300),
            guard: (50, Duration::from_secs(60)),
            before: 0,
            started: SystemTime::UNIX_EPOCH,
        };
        Self {
            server: Server { streaming: true, snapshots: vec![Objects::new()], ..Server::default() },
            follow: Follow::new(Kind::Services, limits),
            random: Random::seeded(1),
            now: Instant::now(),
            objects: Objects::new(),
            steady: BTreeSet::new(),
            deleted: BTreeSet::new(),
            lied: false,
        }
    }

    fn play(&mut self, op: Op) {
        match op {
            Op::Put(name, value) => self.server.change(|objects| {
                objects.insert(format!("s-{name}"), value);
            }),
            Op::Delete(name) => {
                let name = format!("s-{name}");
                self.steady.remove(&name);
                self.deleted.insert(name.clone());
                self.server.change(|objects| {
                    objects.remove(&name);
                });
            }
            Op::Compact => self.server.oldest = self.server.version,
            Op::Streaming(knows) => self.server.streaming = knows,
            Op::Pass(time) => self.now += time,
            Op::Answer(answer) => self.answer(&answer),
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let mut news = News::default();
        let ending = if self.follow.confirmation().is_some_and(|due| due <= self.now) {
            Ending::Confirm
        } else {
            self.connection(answer, &mut news)
        };
        self.follow.ended(&ending, &mut self.random, &mut news);
        for event in news.events {
            match event {
                Event::ServiceApplied(service) => {
                    let std::net::IpAddr::V4(ip) = service.cluster_ips[0] else { unreachable!() };
                    self.objects.insert(service.name.name.to_string(), ip.octets()[3]);
                }
                Event::ServiceDeleted(name) => {
                    assert!(self.objects.remove(name.name.as_str()).is_some(), "{name} was there");
                }
                other => panic!("{other:?}"),
            }
        }
        if news.complete && self.steady.is_empty() {
            let both = self
                .server
                .now()
                .keys()
                .filter(|name| self.objects.contains_key(*name) && !self.deleted.contains(*name));
            self.steady = both.cloned().collect();
        }
        for name in &self.steady {
            assert!(self.objects.contains_key(name), "{name} was lost");
        }
    }

    /// One request and its answer.
    fn connection(&mut self, answer: &Answer, news: &mut News) -> Ending {
        if self.follow.begins_list() {
            self.deleted.clear();
        }
        let request = self.follow.request(&mut self.random);
        // A lie about what nobody knows yet would be believed.
        let lie = matches!(answer, Answer::Lie)
            && self.follow.is_complete()
            && !self.objects.is_empty()
            && !std::mem::replace(&mut self.lied, true);
        let (most, end) = match answer {
            Answer::Status(code) => return status(*code),
            Answer::Garbage => {
                return self.follow.frame(b"<html>", self.now, news).expect_err("it makes no sense");
            }
            Answer::Proper(most, end) => (*most, *end),
            Answer::Lie => (usize::MAX, End::Closed),
        };
        let Server { version, oldest, streaming, .. } = self.server;
        let frames = match &request {
            Request::StreamingList { .. } if !streaming => return status(422),
            Request::StreamingList { .. } => {
                let objects = self.server.now().iter().filter(|_| !lie);
                let mut frames: Vec<_> = objects
                    .map(|(name, value)| json!({"type": "ADDED", "object": object(name, *value, version)}))
                    .collect();
                frames.push(bookmark(version, true));
                frames
            }
            Request::Watch { version, .. } => {
                let since: usize = version.parse().unwrap();
                if since < oldest {
                    return status(410);
                }
                let mut frames = self.server.since(since);
                frames.push(bookmark(self.server.version, false));
                frames
            }
            Request::FirstPage { .. } => return self.page(version, 0, most, lie, news),
            Request::NextPage { token } => {
                let (version, from) = token.split_once(':').unwrap();
                let (version, from): (usize, usize) = (version.parse().unwrap(), from.parse().unwrap());
                if version < oldest {
                    return status(410);
                }
                return self.page(version, from, most, false, news);
            }
        };
        for frame in frames.iter().take(most) {
            if let Err(ending) = self.follow.frame(frame.to_string().as_bytes(), self.now, news) {
                return ending;
            }
        }
        match end {
            End::Closed => Ending::Closed { lasted: Duration::from_secs(300) },
            End::Broken => Ending::Transport("reset".into()),
            End::Silent => Ending::Silent(Duration::from_secs(150)),
        }
    }

    /// Pages of two items; less than all of one is a cut.
    fn page(&mut self, version: usize, from: usize, most: usize, lie: bool, news: &mut News) -> Ending {
        let objects: Vec<_> = self.server.snapshots[version].clone().into_iter().filter(|_| !lie).collect();
        let to = objects.len().min(from + 2);
        for (name, value) in objects[from..to].iter().take(most) {
            self.follow.item(object(name, *value, version).to_string().as_bytes(), news);
        }
        if most < 2 {
            return Ending::Transport("cut".into());
        }
        let token = if to < objects.len() { format!("{version}:{to}") } else { String::new() };
        let rest = json!({"metadata": {"resourceVersion": version.to_string(), "continue": token}});
        self.follow.page(rest.to_string().as_bytes(), self.now, news).err().unwrap_or(Ending::Done)
    }
}

/// A server, or a proxy before it, that sends the objects and never the bookmark that ends them.
#[test]
fn a_streaming_list_that_does_not_end_is_asked_for_in_pages() {
    let silent = Ending::Silent(Duration::from_secs(150));
    for ending in [silent, Ending::Closed { lasted: Duration::from_secs(300) }] {
        let mut world = World::new();
        let mut news = News::default();
        assert!(matches!(world.follow.request(&mut world.random), Request::StreamingList { .. }));
        let frame = json!({"type": "ADDED", "object": object("a", 1, 1)}).to_string();
        world.follow.frame(frame.as_bytes(), world.now, &mut news).unwrap();
        world.follow.ended(&ending, &mut world.random, &mut news);
        assert_eq!(
            world.follow.request(&mut world.random),
            Request::FirstPage { state: State::Any },
            "{ending}"
        );
    }
    // A server that is stopped ends all of its watches in good order.
    let mut world = World::new();
    world.follow.request(&mut world.random);
    let stopped = Ending::Closed { lasted: Duration::from_secs(2) };
    world.follow.ended(&stopped, &mut world.random, &mut News::default());
    assert!(matches!(world.follow.request(&mut world.random), Request::StreamingList { .. }));
}

/// Behind one address there may be servers that lag behind each other.
#[test]
fn a_later_list_does_not_go_back_in_time_but_for_a_server_that_has() {
    let mut world = World::new();
    world.server.streaming = false;
    world.play(Op::Put(1, 1));
    let proper = || Op::Answer(Answer::Proper(usize::MAX, End::Closed));
    (0..3).for_each(|_| world.play(proper()));
    assert!(world.follow.is_watching());
    let mut list = |ending: &Ending| {
        world.follow.ended(ending, &mut world.random, &mut News::default());
        let request = world.follow.request(&mut world.random);
        if !matches!(request, Request::StreamingList { .. }) {
            return request;
        }
        world.follow.ended(&status(422), &mut world.random, &mut News::default());
        world.follow.request(&mut world.random)
    };
    let since = Request::FirstPage { state: State::Since("1".into()) };
    assert_eq!(list(&status(410)), since);
    assert_eq!(list(&status(503)), since);
    let message = "Too large resource version: 1, current: 0".to_owned();
    let ahead = Ending::Status { code: 504, retry_after: None, message };
    assert_eq!(list(&ahead), Request::FirstPage { state: State::Newest });
    assert_eq!(list(&status(500)), Request::FirstPage { state: State::Newest });
    world.play(proper());
    assert!(world.follow.is_watching());
    world.follow.ended(&status(410), &mut world.random, &mut News::default());
    world.follow.request(&mut world.random);
    world.follow.ended(&status(422), &mut world.random, &mut News::default());
    assert_eq!(world.follow.request(&mut world.random), since);
}

fn status(code: u16) -> Ending {
    Ending::Status { code, retry_after: None, message: String::new() }
}

fn answers() -> impl Strategy<Value = Answer> {
    let end = prop_oneof![Just(End::Closed), Just(End::Broken), Just(End::Silent)];
    prop_oneof![
        6 => (prop_oneof![0_usize..6, Just(usize::MAX)], end).prop_map(|(most, end)| Answer::Proper(most, end)),
        2 => prop::sample::select(vec![400, 401, 403, 404, 410, 422, 429, 500, 503]).prop_map(Answer::Status),
        1 => Just(Answer::Garbage),
        1 => Just(Answer::Lie),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0_u8..9, 1_u8..200).prop_map(|(name, value)| Op::Put(name, value)),
        2 => (0_u8..9).prop_map(Op::Delete),
        1 => Just(Op::Compact),
        1 => any::<bool>().prop_map(Op::Streaming),
        1 => (0_u64..100).prop_map(|seconds| Op::Pass(Duration::from_secs(seconds))),
        8 => answers().prop_map(Op::Answer),
    ];
    prop::collection::vec(op, 0..80)
}

proptest! {
    #[test]
    fn any_history_ends_in_the_servers_objects_and_loses_none_on_the_way(ops in ops()) {
        let mut world = World::new();
        for op in ops {
            world.play(op);
        }
        // The server recovers. What is held back is confirmed after a minute, a list takes a few pages.
        for _ in 0..40 {
            world.play(Op::Pass(Duration::from_secs(10)));
            world.play(Op::Answer(Answer::Proper(usize::MAX, End::Closed)));
        }
        prop_assert_eq!(&world.objects, world.server.now());
        prop_assert_eq!(world.follow.held_back(), 0);
    }
}
