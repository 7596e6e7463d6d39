//! What a cluster does every day.

use super::{
    api::{Api, CIDRS, NODES, SERVICES, SLICES},
    client::Client,
    http::Server,
    objects::{NODE, node, service, service_cidr, slice},
};
use serde_json::json;
use shunt::{
    model::{Event, ObjectName},
    source::kubernetes::ObjectId,
};
use std::time::{Duration, SystemTime};

/// A cluster of one Service.
pub fn cluster() -> Api {
    let api = Api::default();
    api.put(node(NODE, "zone-a"));
    api.put(node("node-b", "zone-b"));
    api.put(service_cidr("kubernetes", "10.96.0.0/12"));
    api.put(service("web", 10));
    api.put(slice("web-1", "web", 3));
    api
}

#[tokio::test]
async fn objects_come_and_go() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    assert_eq!(client.objects.len(), 4);

    api.put(service("db", 11));
    api.put(slice("db-1", "db", 1));
    client.follows(&api).await;
    api.put(slice("web-1", "web", 2));
    api.put(node(NODE, "zone-c"));
    api.delete(SERVICES, "web");
    client.follows(&api).await;
    api.put(service("web", 10));
    api.delete(CIDRS, "kubernetes");
    api.delete(NODES, NODE);
    client.follows(&api).await;
    assert_eq!(client.problems, []);
    for path in [SERVICES, SLICES, NODES, CIDRS] {
        assert_eq!(api.state().requests.iter().filter(|(uri, _)| uri.starts_with(path)).count(), 1, "{path}");
    }
}

#[tokio::test]
async fn nothing_may_be_written_before_every_first_list() {
    let api = cluster();
    api.script(SLICES, [super::http::status(503, "not yet"), super::http::status(503, "not yet")]);
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    let web = ObjectId::Service(ObjectName::new("shop", "web"));
    client.until("Services come first", |client| client.objects.contains_key(&web)).await;
    assert!(!client.synced);
    client.follows(&api).await;
    assert!(client.synced);
}

#[tokio::test]
async fn a_server_without_streaming_lists_is_read_page_by_page() {
    let api = cluster();
    for last in 20..60 {
        api.put(service(&format!("s-{last}"), last));
    }
    api.state().streaming = false;
    api.state().page = 7;
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    assert_eq!(api.count(SERVICES, "sendInitialEvents"), 1);
    assert_eq!(api.count(SERVICES, "resourceVersion=0"), 1);
    assert_eq!(api.count(SERVICES, "continue="), 5);
    api.put(service("new", 99));
    client.follows(&api).await;
    assert_eq!(api.count(SERVICES, "watch=true&resourceVersion="), 1);
    assert_eq!(client.problems, []);
}

#[tokio::test]
async fn what_did_not_change_costs_nothing() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    client.events.clear();

    let mut touched = service("web", 10);
    touched["metadata"]["annotations"] = json!({"note": "nobody reads this"});
    api.put(touched);
    let mut heartbeat = node(NODE, "zone-a");
    heartbeat["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    api.put(heartbeat);
    api.put(service("db", 11));
    client.follows(&api).await;
    assert!(
        matches!(&client.events[..], [Event::ServiceApplied(db)] if db.name.name == "db"),
        "{:?}",
        client.events
    );

    // A relist of everything, with one change of each sort.
    client.events.clear();
    api.compact();
    api.delete(SERVICES, "db");
    api.put(service("web", 12));
    client.follows(&api).await;
    api.put(service("last", 13));
    client.follows(&api).await;
    let names: Vec<_> = client
        .events
        .iter()
        .map(|event| match event {
            Event::ServiceApplied(service) => format!("+{}", service.name.name),
            Event::ServiceDeleted(name) => format!("-{}", name.name),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["-db", "+web", "+last"]);
}

#[tokio::test]
async fn another_proxys_label_that_comes_later_is_a_deletion() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    let mut foreign = service("web", 10);
    foreign["metadata"]["labels"] = json!({"service.kubernetes.io/service-proxy-name": ""});
    api.put(foreign);
    let web = ObjectId::Service(ObjectName::new("shop", "web"));
    client.until("it is gone", |client| !client.objects.contains_key(&web)).await;
    client.follows(&api).await;
    api.put(service("web", 10));
    client.follows(&api).await;
    assert!(client.objects.contains_key(&web));

    let mut headless = service("web", 10);
    headless["spec"]["clusterIP"] = json!("None");
    api.put(headless);
    client.follows(&api).await;
    assert!(!client.objects.contains_key(&web));
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    client.events.clear();
    for last in 20..25 {
        api.end_watches();
        api.put(service(&format!("s-{last}"), last));
        client.follows(&api).await;
    }
    assert_eq!(api.lists(SERVICES), 1);
    assert_eq!(client.events.len(), 5);
    assert_eq!(client.problems, []);
}

#[tokio::test]
async fn bookmarks_spare_a_relist() {
    let api = cluster();
    let server = Server::start(&api);
    let mut client = Client::start(&server).await;
    client.follows(&api).await;
    api.put(service("far", 30));
    client.follows(&api).await;
    // All versions before the bookmark are forgotten; the watches of the other kinds have seen no change since.
    api.bookmark();
    tokio::time::sleep(Duration::from_millis(50)).await;
    {
        let version = api.state().version;
        api.compact();
        api.state().forget_before(version);
    }
    api.put(slice("far-1", "far", 1));
    client.follows(&api).await;
    for path in [SERVICES, SLICES, NODES, CIDRS] {
        assert_eq!(api.lists(path), 1, "{path}");
    }
}

#[tokio::test]
async fn triggers_of_changed_slices_are_told_once_and_not_those_of_another_age() {
    let api = cluster();
    let at = |name: &str, endpoints: u8, time: &str| {
        let mut slice = slice(name, "web", endpoints);
        slice["metadata"]["annotations"] = json!({"endpoints.kubernetes.io/last-change-trigger-time": time});
        slice
    };
    api.put(at("web-1", 3, "2026-01-01T00:00:00Z"));
    let server = Server::start(&api);
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000);
    let mut client = Client::start_with(&[&server], |options| options.started = started).await;
    client.follows(&api).await;
    assert_eq!(client.triggers, 0);
    api.put(at("web-1", 4, "2026-10-01T00:00:00.123456Z"));
    client.follows(&api).await;
    assert_eq!(client.triggers, 1);
    // The same again, a time that is none, and a deletion.
    api.put(at("web-1", 4, "2026-10-01T00:00:01Z"));
    api.put(at("web-2", 1, "yesterday"));
    api.delete(SLICES, "web-1");
    client.follows(&api).await;
    assert_eq!(client.triggers, 1);
}
