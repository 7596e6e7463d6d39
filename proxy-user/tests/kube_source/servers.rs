//! Servers that go and come back, one of several or the only one.

use super::{
    api::{Api, SERVICES},
    basics::cluster,
    client::Client,
    http::{Server, status},
    objects::service,
};
use serde_json::json;
use shunt::recorder::{EventSink, Posted};
use std::{collections::BTreeSet, time::Duration};

#[tokio::test]
async fn another_server_is_asked_where_one_is_gone() {
    let api = cluster();
    let (first, second) = (Server::start(&api), Server::start(&api));
    let mut client = Client::start_with(&[&first, &second], |_| {}).await;
    client.follows(&api).await;
    let asked = first.address;
    first.stop().await;
    api.put(service("db", 11));
    client.follows(&api).await;
    let first = Server::start_at(&api, asked);
    second.stop().await;
    api.put(service("db", 12));
    client.follows(&api).await;
    assert_eq!(api.lists(SERVICES), 1);
    assert!(client.source.stats().snapshot().failovers >= 1);
    drop(first);
}

#[tokio::test]
async fn another_server_is_asked_where_one_answers_with_errors() {
    let (good, bad) = (cluster(), Api::default());
    for path in [SERVICES, super::api::SLICES, super::api::NODES, super::api::CIDRS] {
        bad.script(path, (0..1_000).map(|_| status(503, "etcd is gone")));
    }
    let (good_server, bad_server) = (Server::start(&good), Server::start(&bad));
    // Whichever comes first.
    for seed in 0..4 {
        let mut client =
            Client::start_with(&[&bad_server, &good_server], |options| options.seed = Some(seed)).await;
        client.follows(&good).await;
    }
    let asked = bad.state().requests.len();
    assert!(asked > 0 && asked < 4 * 8, "{asked}");
}

#[tokio::test]
async fn nothing_changes_while_no_server_answers() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    let (before, address) = (client.objects.clone(), server.address);
    client.events.clear();
    server.stop().await;
    api.put(service("db", 11));
    let stats = client.source.stats();
    client.meanwhile("it is asked again and again", || stats.snapshot().reconnects > 12).await;
    assert_eq!(client.objects, before);
    assert!(client.synced);
    let server = Server::start_at(&api, address);
    client.follows(&api).await;
    assert_eq!((client.events.len(), api.lists(SERVICES)), (1, 1));

    // It has forgotten its history meanwhile, as after a restart.
    server.stop().await;
    api.compact();
    api.put(service("db", 12));
    let _server = Server::start_at(&api, address);
    client.follows(&api).await;
    assert_eq!((client.events.len(), api.lists(SERVICES)), (2, 2));
}

#[tokio::test]
async fn a_source_waits_for_a_server_that_is_not_there_yet() {
    let api = cluster();
    let server = Server::start(&api);
    let address = server.address;
    let kubeconfig = super::client::kubeconfig();
    let mut options = super::client::options(&[&server], &kubeconfig);
    options.startup_spread = Duration::from_millis(20);
    server.stop().await;
    let mut client = Client::start_with(&[], |given| *given = options).await;
    client.until("it says so", |client| client.told("Services: ")).await;
    assert!(!client.synced);
    let _server = Server::start_at(&api, address);
    client.follows(&api).await;
}

#[tokio::test]
async fn first_lists_are_spread_over_a_window() {
    let api = cluster();
    let server = Server::start(&api);
    let mut first = BTreeSet::new();
    let mut clients = Vec::new();
    for seed in 0..40 {
        let client = Client::start_with(&[&server], |options| {
            (options.startup_spread, options.seed) = (Duration::from_millis(400), Some(seed));
        })
        .await;
        clients.push(client);
    }
    for slot in 0..8 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if api.lists(SERVICES) > 0 {
            first.insert((slot, api.lists(SERVICES)));
        }
    }
    // Not at once: in the middle of the window some have asked and some have not.
    assert!(first.iter().any(|(_, asked)| (5..36).contains(asked)), "{first:?}");
    for mut client in clients {
        client.follows(&api).await;
    }
    assert_eq!(api.lists(SERVICES), 40);
}

#[tokio::test]
async fn events_are_posted_to_the_server_that_is_asked() {
    let api = cluster();
    let path = "/apis/events.k8s.io/v1/namespaces/shop/events";
    let refusals = [201, 403, 403, 409, 429, 503, 401].map(|code| status(code, "no"));
    api.script(path, refusals);
    let server = Server::start(&api);
    let client = Client::start(&server).await;
    let events = client.source.events();
    let mut posted = Vec::new();
    for _ in 0..7 {
        posted.push(events.post("shop", &json!({"kind": "Event"})).await);
    }
    let (done, later) = (Posted::Done, Posted::Later);
    assert_eq!(posted, [done, done, done, done, later, later, later]);
    assert_eq!(api.count(path, ""), 7);
    assert_eq!(events.post("no/such namespace", &json!({})).await, done);
    server.stop().await;
    assert_eq!(events.post("shop", &json!({})).await, later);
}
