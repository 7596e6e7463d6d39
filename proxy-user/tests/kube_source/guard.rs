//! Lists that lack most of what was there.

use super::{
    api::{Api, CIDRS, NODES, SERVICES, SLICES},
    basics::cluster,
    client::Client,
    http::Server,
    objects::service,
};
use shunt::source::kube::{Confirmed, Kind, Notice, Options, Pinned};
use std::time::Duration;

/// Never, as far as a test is concerned.
const NEVER: Duration = Duration::from_secs(3_600);

fn big() -> Api {
    let api = cluster();
    for last in 20..40 {
        api.put(service(&format!("s-{last}"), last));
    }
    api
}

async fn following(api: &Api, server: &Server, change: impl FnOnce(&mut Options)) -> Client {
    let mut client = Client::start_with(&[server], change).await;
    client.follows(api).await;
    client
}

fn held(client: &Client) -> usize {
    client.notices.iter().filter(|notice| matches!(notice, Notice::HeldBack { .. })).count()
}

fn released(client: &Client, who: Confirmed) -> bool {
    client.notices.iter().any(|notice| matches!(notice, Notice::Released { by, .. } if *by == who))
}

#[tokio::test]
async fn an_empty_list_is_held_back_until_a_second_one_confirms_it() {
    let api = big();
    let server = Server::start(&api);
    let mut client = following(&api, &server, |_| {}).await;
    let before = client.objects.clone();
    api.lose(SERVICES);
    api.compact();
    client.until("it is held back", |client| held(client) == 1).await;
    assert_eq!(client.objects, before);
    assert_eq!(client.source.stats().snapshot().held_back, 21);
    client.follows(&api).await;
    assert!(released(&client, Confirmed::SecondList));
    assert_eq!(api.lists(SERVICES), 3);
    assert_eq!(client.source.stats().snapshot().held_back, 0);
}

/// A server that has lost its etcd lacks the Node too: without it no NodePort has an address, and load balancers are told
/// that there is no such node.
#[tokio::test]
async fn this_nodes_node_and_the_ranges_of_cluster_ips_do_not_vanish_with_one_list_either() {
    for path in [NODES, CIDRS] {
        let api = big();
        let server = Server::start(&api);
        let mut client = following(&api, &server, |_| {}).await;
        let before = client.objects.clone();
        assert!(!api.state().listed(path).is_empty());
        api.lose(path);
        api.compact();
        client.until("it is held back", |client| held(client) == 1).await;
        assert_eq!(client.objects, before);
        client.follows(&api).await;
        assert!(released(&client, Confirmed::SecondList));
    }
}

#[tokio::test]
async fn what_a_short_list_lacked_and_a_second_one_has_was_never_touched() {
    let api = big();
    let server = Server::start(&api);
    let mut client = following(&api, &server, |_| {}).await;
    let all = api.wanted();
    client.events.clear();
    api.lose(SERVICES);
    api.compact();
    client.until("it is held back", |client| held(client) == 1).await;
    // Changes go on meanwhile.
    api.put(service("new", 50));
    client.until("a new one comes", |client| client.events.len() == 1).await;
    api.restore(&all);
    client.meanwhile("a second list is read", || api.lists(SERVICES) == 3).await;
    api.put(service("last", 51));
    client.follows(&api).await;
    assert_eq!(client.events.len(), 2, "{:?}", client.events);
    assert_eq!(held(&client), 1);
    assert_eq!(client.source.stats().snapshot().held_back, 0);
}

#[tokio::test]
async fn an_operator_may_confirm_it() {
    let api = big();
    let server = Server::start(&api);
    let mut client = following(&api, &server, |options| options.confirm_after = NEVER).await;
    api.lose(SLICES);
    api.compact();
    client.until("it is held back", |client| held(client) == 1).await;
    assert!(matches!(
        client.notices[0],
        Notice::HeldBack { kind: Kind::EndpointSlices, lacking: 1, before: 1, .. }
    ));
    client.source.confirm();
    client.follows(&api).await;
    assert!(released(&client, Confirmed::Operator));
    assert_eq!(api.lists(SLICES), 2);
}

#[tokio::test]
async fn the_share_is_a_choice_and_deletions_of_a_watch_are_always_believed() {
    // Percent, Services that are lost of 21, held back.
    for (percent, lost, expected) in [(50, 10, 0), (50, 11, 1), (40, 9, 1), (100, 21, 0)] {
        let api = big();
        let server = Server::start(&api);
        let mut client = following(&api, &server, |options| {
            (options.relist_guard, options.confirm_after) = (percent, NEVER);
        })
        .await;
        let services: Vec<_> =
            api.wanted().into_iter().filter(|object| object["kind"] == "Service").collect();
        api.lose(SERVICES);
        api.restore(&services[lost..]);
        api.compact();
        if expected == 0 {
            client.follows(&api).await;
        }
        client.until("it is as expected", |client| held(client) == expected).await;
        assert_eq!(held(&client), expected, "{percent} %, {lost} lost");
    }
    let api = big();
    let server = Server::start(&api);
    let mut client = following(&api, &server, |_| {}).await;
    for last in 20..40 {
        api.delete(SERVICES, &format!("s-{last}"));
    }
    api.delete(SERVICES, "web");
    client.follows(&api).await;
    assert_eq!(held(&client), 0);
}

#[tokio::test]
async fn a_first_list_is_measured_by_what_the_kernel_has() {
    let pinned = |services, endpoints| Pinned { services, endpoints };
    for (pinned, expected) in [(pinned(0, 0), 0), (pinned(40, 3), 0), (pinned(60, 3), 1), (pinned(21, 9), 0)]
    {
        let api = big();
        let server = Server::start(&api);
        let mut client = Client::start_with(&[&server], |options| options.pinned = pinned).await;
        client.follows(&api).await;
        assert_eq!(held(&client), expected, "{pinned:?}");
        assert_eq!(released(&client, Confirmed::SecondList), expected == 1);
        assert_eq!(api.lists(SERVICES), 1 + expected);
    }

    // Until then nothing may be written.
    let api = big();
    api.lose(SLICES);
    let server = Server::start(&api);
    let mut client = Client::start_with(&[&server], |options| {
        (options.pinned, options.confirm_after) = (pinned(21, 3), NEVER);
    })
    .await;
    client.until("it is held back", |client| held(client) == 1).await;
    client.until("Services come all the same", |client| client.objects.len() == 23).await;
    assert!(!client.synced);
    // For the alert: that of the kernel's endpoints one slice at least is missing is all that is known.
    assert_eq!(client.source.stats().snapshot().held_back, 1);
    client.source.confirm();
    client.follows(&api).await;
    assert_eq!(client.source.stats().snapshot().held_back, 0);
}
