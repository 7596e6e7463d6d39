//! Servers that answer slowly, wrongly, or not at all: nothing is lost, and it is said.

use super::{
    api::{Answer, Api, CIDRS, SERVICES, SLICES},
    basics::cluster,
    client::Client,
    http::{Server, status},
    objects::{service, slice},
};
use serde_json::json;
use shunt::{
    model::ObjectName,
    source::{
        kube::{About, Outcome, Severity, Verb},
        kubernetes::ObjectId,
    },
};
use std::time::Duration;

/// A frame of a watch.
fn frame(kind: &str, object: &serde_json::Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

/// Follows a cluster whose server answers the first list of Services so; what it says of that.
async fn first_list(answers: impl IntoIterator<Item = Answer>) -> Client {
    let api = cluster();
    api.script(SERVICES, answers);
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    client
}

/// The same of a watch that goes on from a version.
async fn watch(answers: impl IntoIterator<Item = Answer>) -> (Client, Api) {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    client.events.clear();
    api.script(SERVICES, answers);
    api.end_watches();
    api.put(service("db", 11));
    api.put(service("web", 12));
    client.follows(&api).await;
    (client, api)
}

#[tokio::test]
async fn what_is_no_answer_to_a_list_is_asked_again() {
    let html = "<!doctype html><title>502 Bad Gateway</title>\n".to_owned();
    let table = [
        (status(500, "etcdserver: request timed out"), "etcdserver: request timed out"),
        (status(503, "not ready"), "status 503: not ready"),
        (Answer::Status(502, vec![], html.clone()), "status 502: <!doctype html>"),
        (Answer::Body(html), "no sense in the answer"),
        (Answer::Body("{}\n".into()), "no sense in the answer"),
        (Answer::Body("null\n".into()), "no sense in the answer"),
        (Answer::Body("\u{0}\u{1}\u{ff}\n".into()), "no sense in the answer"),
        (Answer::Body(String::new()), "ended the watch"),
        (Answer::Body(frame("ADDED", &service("ghost", 66))), "ended the watch"),
        (Answer::Body(r#"{"type":"ADDED","obj"#.into()), "cut off within a frame"),
        (Answer::Cut(frame("ADDED", &service("ghost", 66))), "Services: "),
        (Answer::Hang, "nothing came for 400ms"),
        (Answer::Reset, "Services: "),
        (Answer::Status(429, vec![("retry-after", "0".into())], "slow down".into()), "status 429: slow down"),
        (Answer::Status(301, vec![], String::new()), "status 301"),
    ];
    for (answer, said) in table {
        let client = first_list([answer.clone()]).await;
        assert!(client.told(said), "{answer:?}: {:?}", client.problems);
        assert!(
            client.problems.iter().all(|problem| problem.about == About::Server),
            "{:?}",
            client.problems
        );
        assert!(client.problems.iter().any(|problem| problem.severity == Severity::Warning));
    }
}

#[tokio::test]
async fn what_is_no_answer_to_a_page_is_asked_again() {
    let table = [
        (Answer::Body("<html>".into()), "no JSON object"),
        (Answer::Body("{}".into()), "no sense in the answer"),
        (Answer::Body(r#"{"items":[],"metadata":{}}"#.into()), "without a resource version"),
        (Answer::Body(r#"{"metadata":{"resourceVersion":"1"},"items":[{"metadata":"#.into()), "was cut off"),
        (Answer::Cut(r#"{"metadata":{"resourceVersion":"1"},"items":["#.into()), "Services: "),
        (status(410, "the continue token has expired"), "the continue token has expired"),
    ];
    for (answer, said) in table {
        let api = cluster();
        api.state().streaming = false;
        api.script(SERVICES, [Answer::Proper, answer.clone()]);
        let server = Server::start(&api);
        let mut client = Client::start(&server).await;
        client.follows(&api).await;
        assert!(client.told(said), "{answer:?}: {:?}", client.problems);
    }
}

#[tokio::test]
async fn a_watch_survives_what_is_no_answer_to_it() {
    let html = "<html>\n".to_owned();
    let error = |code: u16, reason: &str| {
        let object = json!({"kind": "Status", "code": code, "reason": reason, "message": "told so"});
        Answer::Body(frame("ERROR", &object))
    };
    let bookmark = frame("BOOKMARK", &json!({"metadata": {"resourceVersion": "1"}}));
    for (answer, relists) in [
        (status(500, "x"), 0),
        (Answer::Body(html), 0),
        (Answer::Body(r#"{"type":"ADDED","object":{"meta"#.into()), 0),
        (Answer::Cut(String::new()), 0),
        (Answer::Hang, 0),
        (Answer::Reset, 0),
        (Answer::Status(429, vec![], String::new()), 0),
        (error(500, "InternalError"), 0),
        (error(410, "Expired"), 1),
        (error(0, "Gone"), 1),
        (status(410, "too old"), 1),
        (Answer::Body(bookmark.replace("metadata", "meta")), 0),
    ] {
        let (client, api) = watch([answer.clone()]).await;
        assert_eq!(api.lists(SERVICES), 1 + relists, "{answer:?}");
        let stats = client.source.stats().snapshot();
        assert_eq!(stats.relists, u64::try_from(relists).unwrap(), "{answer:?}");
        // As a difference, with the new Service and the changed one only.
        assert_eq!(client.events.len(), 2, "{answer:?}: {:?}", client.events);
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_costs_itself_alone() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    let before = client.objects.clone();

    // The API server would never store it; a proxy before it may send anything.
    let mut broken = service("web", 10);
    broken["spec"]["ports"] = json!("none");
    let (nameless, unknown) = (json!({"spec": {}}), json!({"metadata": {"name": "x"}}));
    let body = [
        frame("MODIFIED", &broken),
        frame("ADDED", &nameless),
        frame("ADDED", &json!(17)),
        frame("BOUGHT", &unknown),
        frame("ADDED", &service("good", 20)),
    ];
    api.script(SERVICES, [Answer::Stall(body.concat())]);
    api.end_watches();
    let good = ObjectId::Service(ObjectName::new("shop", "good"));
    client.until("the good one is there", |client| client.objects.contains_key(&good)).await;
    assert_eq!(client.objects.len(), before.len() + 1);
    assert!(before.iter().all(|(id, event)| client.objects.get(id) == Some(event)));
    assert!(client.told("Service shop/web: cannot be read: "), "{:?}", client.problems);
    assert!(client.told("an object without a name"), "{:?}", client.problems);
    assert!(client.told("unknown type \"BOUGHT\""), "{:?}", client.problems);
    assert_eq!(client.source.stats().snapshot().refused_objects, 3);
}

#[tokio::test]
async fn a_list_with_an_unreadable_object_deletes_nothing_that_it_may_mean() {
    for (nameless, stays) in [(false, false), (true, true)] {
        let api = cluster();
        api.put(service("db", 11));
        let server = Server::start(&api);
        let mut client = Client::start(&server).await;
        client.follows(&api).await;
        let mut broken = service("web", 10);
        broken["spec"]["ports"] = json!("none");
        if nameless {
            broken["metadata"] = json!({});
        }
        let end = json!({"metadata": {"resourceVersion": "1000", "annotations": {"k8s.io/initial-events-end": "true"}}});
        let list = [frame("ADDED", &broken), frame("ADDED", &service("new", 12)), frame("BOOKMARK", &end)];
        api.script(SERVICES, [status(410, "too old"), Answer::Stall(list.concat())]);
        api.end_watches();
        let has = |client: &Client, name: &str| {
            client.objects.contains_key(&ObjectId::Service(ObjectName::new("shop", name)))
        };
        client.until("the list is applied", |client| has(client, "new")).await;
        assert!(has(&client, "web"));
        assert_eq!(has(&client, "db"), stays);
    }
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_any_more_is_given_up() {
    let api = cluster();
    api.script(SLICES, [Answer::Stall(frame("ADDED", &slice("half", "web", 1)))]);
    let server = Server::start(&api);
    let silence = Duration::from_millis(100);
    let mut client = Client::start_with(&[&server], |options| options.silence = silence).await;
    client.follows(&api).await;
    assert!(client.told("EndpointSlices: nothing came for 100ms"), "{:?}", client.problems);
}

/// The version of a bookmark is that of the server's cache, which an etcd without progress notifications
/// (`--watch-progress-notify-interval`, 10 minutes) moves by changes of that kind alone.
#[tokio::test]
async fn a_watch_without_changes_needs_no_bookmarks_and_a_server_that_is_gone_is_noticed_by_the_next_request()
{
    let api = cluster();
    let (first, second) = (Server::start(&api), Server::start(&api));
    let silence = Duration::from_millis(50);
    let mut client = Client::start_with(&[&first, &second], |options| options.silence = silence).await;
    client.follows(&api).await;
    client
        .meanwhile("watches are begun anew", || api.count(SERVICES, "watch=true&resourceVersion=") > 3)
        .await;
    let stats = client.source.stats().snapshot();
    assert_eq!((stats.reconnects, stats.failovers, stats.relists), (0, 0, 0));
    assert!(client.problems.is_empty(), "{:?}", client.problems);

    api.script(SERVICES, [Answer::Hang]);
    client.until("it is noticed", |client| client.told("nothing came for 400ms; another one is asked")).await;
    api.put(service("db", 11));
    client.follows(&api).await;
    assert_eq!(api.lists(SERVICES), 1);
}

#[tokio::test]
async fn an_object_of_any_length_takes_no_more_memory_than_allowed() {
    let api = cluster();
    let mut long = service("long", 20);
    long["metadata"]["annotations"] = json!({"text": "x".repeat(9_000)});
    api.put(long);
    for streaming in [true, false] {
        api.state().streaming = streaming;
        let server = Server::start(&api);
        let mut client = Client::start_with(&[&server], |options| options.longest_object = 8_000).await;
        client.until("all else is there", |client| client.synced).await;
        assert!(client.told("an object of more than 8000 bytes is left out"), "{:?}", client.problems);
        assert_eq!(client.objects.len(), 4);
    }
}

#[tokio::test]
async fn retry_after_is_heeded_and_a_flood_of_failures_is_few_lines() {
    let api = cluster();
    let slow = Answer::Status(429, vec![("retry-after", "1".into())], String::new());
    api.script(SLICES, [slow]);
    api.script(SERVICES, (0..60).map(|_| status(500, "broken")));
    let server = Server::start(&api);
    let mut client = Client::start_with(&[&server], |options| {
        options.backoff = (Duration::from_millis(1), Duration::from_millis(100));
    })
    .await;
    client.meanwhile("Services are asked for often", || api.lists(SERVICES) > 4).await;
    assert_eq!(api.lists(SLICES), 1);
    client.follows(&api).await;
    assert!(api.lists(SERVICES) > 60 && api.lists(SLICES) == 2);
    let lines = client.problems.iter().filter(|problem| problem.text.contains("broken")).count();
    assert!((10..30).contains(&lines), "{lines}");
    assert!(client.told("Services: the API server answers again"));
    let stats = client.source.stats().snapshot();
    let of = |verb, outcome| stats.requests.iter().find(|row| (row.0, row.1) == (verb, outcome)).unwrap().2;
    assert_eq!(of(Verb::List, Outcome::ServerError), 60);
    assert_eq!(of(Verb::List, Outcome::TooMany), 1);
    assert_eq!(of(Verb::List, Outcome::Accepted), 4);
    assert!(stats.last_contact.is_some() && stats.bytes > 1_000 && stats.reconnects >= 60);
}

#[tokio::test]
async fn an_api_without_service_cidrs_is_asked_again_now_and_then() {
    let api = cluster();
    api.script(CIDRS, (0..3).map(|_| status(404, "the server could not find the requested resource")));
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.until("it is synced without them", |client| client.synced).await;
    assert_eq!(client.objects.len(), 3);
    // After an upgrade of the server they are there.
    client.follows(&api).await;
    assert_eq!(client.objects.len(), 4);
    let said = client.problems.iter().filter(|problem| problem.text.contains("ServiceCIDRs")).count();
    assert_eq!(said, 1, "{:?}", client.problems);
}

#[tokio::test]
async fn service_cidrs_that_were_there_stay_when_they_are_hidden() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    for code in [403, 404] {
        api.script(CIDRS, [status(410, "too old"), status(code, "hidden"), status(code, "hidden")]);
        api.end_watches();
        let asked = api.lists(CIDRS);
        client.meanwhile("they are listed again", || api.lists(CIDRS) == asked + 3).await;
        client.follows(&api).await;
    }
    assert_eq!(client.objects.len(), 4);
    assert!(client.events.len() == 4, "nothing was deleted meanwhile: {:?}", client.events);
}
