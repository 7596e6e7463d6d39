//! The API server is away: what is served goes on, and when it is back nothing of the time between is missing.

use crate::{
    agent::Agent,
    becomes, becomes_within,
    pod::Pod,
    stage::{HIDDEN_PORT, PORT, Stage},
    traffic::{Traffic, answers, names},
};
use serde_json::json;
use shunt::lab::{Place, TcpSession};
use std::{
    collections::BTreeSet,
    env,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// An agent may have backed off for long, when the API server is back.
const RETURN: Duration = Duration::from_secs(90);

/// How long it is away: two minutes if SHUNT_FULL_OUTAGE is set.
fn outage() -> Duration {
    Duration::from_secs(if env::var_os("SHUNT_FULL_OUTAGE").is_some() { 120 } else { 8 })
}

/// The node's maps become what they would be had it seen nothing but the present.
fn assert_as_from_scratch(stage: &Stage, agent: &Agent<'_>) {
    let wanted = agent.made_from_scratch(&stage.kubectl());
    becomes_within(RETURN, "the maps", &wanted, || agent.site.dump());
}

/// Services and slices as they are now: kind, name and version.
fn versions(stage: &Stage) -> BTreeSet<[String; 3]> {
    let objects = stage.kubectl().get(&["services,endpointslices", "-A"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let objects = objects["items"].as_array().unwrap().iter();
    let versions = objects.map(|object| {
        let metadata = &object["metadata"];
        [&object["kind"], &metadata["name"], &metadata["resourceVersion"]].map(text)
    });
    versions.collect()
}

/// How many objects came, went or became others.
fn changed(before: &BTreeSet<[String; 3]>, after: &BTreeSet<[String; 3]>) -> usize {
    let changed: BTreeSet<_> =
        before.symmetric_difference(after).map(|[kind, name, _]| (kind, name)).collect();
    changed.len()
}

/// The API server that the node knows is away for a time, while kubectl and the controllers have another: the world
/// changes behind the node's back. All pods live on, so whatever a node serves is served by somebody.
fn away(stage: &Stage, [comes, goes]: [&Pod; 2], new: &str, old: &str) -> Pod {
    let start = Instant::now();
    stage.plane.start_at(HIDDEN_PORT).unwrap();
    comes.set_ready(stage, true);
    goes.delete(stage);
    let pod = stage.pod(1, "web", &format!("{new}-pod"));
    stage.serve(new, "ClusterIP", &json!({ "selector": { "app": "web" } }));
    stage.kubectl().run(&["delete", "service", old]);
    let ready = |endpoint: &serde_json::Value| {
        let name = endpoint["targetRef"]["name"].as_str().unwrap().to_owned();
        (endpoint["conditions"]["ready"] == true).then_some(name)
    };
    becomes("what the controller has seen", &[true, true, false], || {
        let ready: Vec<_> = stage.endpoints(new, ready).into_iter().flatten().collect();
        [comes.name(), pod.name(), goes.name()].map(|name| ready.iter().any(|ready| ready == name))
    });
    thread::sleep(outage().saturating_sub(start.elapsed()));
    stage.plane.start_at(PORT).unwrap();
    pod
}

#[test]
fn nobody_is_refused_while_the_api_server_is_away_and_nothing_is_missed() {
    let Some(stage) = Stage::new() else { return };
    let mut agent = stage.shunt(0);
    stage.serve("web", "NodePort", &json!({}));
    for name in ["first", "second"] {
        stage.serve(name, "ClusterIP", &json!({ "selector": { "app": "web" } }));
    }
    let [one, two, three, four] = ["web-1", "web-2", "web-3", "web-4"].map(|name| stage.pod(1, "web", name));
    let client = stage.pod(0, "client", "client");
    two.set_ready(&stage, false);
    four.set_ready(&stage, false);

    let inside = agent.with_sockets(client.place());
    let mut ways: Vec<_> = stage.cluster_ips("web").into_iter().map(|to| (inside.clone(), to)).collect();
    ways.extend(stage.node_ports("web", 0).into_iter().map(|to| (Place::from(stage.lan.client()), to)));
    for (from, to) in &ways {
        becomes(&format!("{to}"), &names(["web-1", "web-3"]), || answers(from, *to));
    }
    assert_as_from_scratch(&stage, &agent);
    let open = |(from, to): &(Place, SocketAddr)| {
        from.run(|| TcpSession::open(*to, Duration::from_secs(5)).unwrap()).unwrap()
    };
    let mut sessions: Vec<_> = ways.iter().map(open).collect();
    let traffic: Vec<_> =
        ways.iter().map(|(from, to)| Traffic::start("a client", from.clone(), *to)).collect();

    // In the middle of changes: of one pod that nobody needs.
    let done = AtomicBool::new(false);
    let before = versions(&stage);
    let killed = thread::scope(|scope| {
        scope.spawn(|| {
            for ready in [true, false].into_iter().cycle() {
                if done.load(Ordering::Relaxed) || !four.try_set_ready(&stage, ready) {
                    return;
                }
            }
        });
        thread::sleep(Duration::from_secs(2));
        stage.plane.kill();
        done.store(true, Ordering::Relaxed);
        Instant::now()
    });
    let _new = away(&stage, [&two, &one], "third", "first");
    let (first, between) = (killed.elapsed(), versions(&stage));
    assert_as_from_scratch(&stage, &agent);

    // Again, and the agent crashes meanwhile; the next one has what is pinned, and nobody to ask.
    stage.plane.kill();
    let killed = Instant::now();
    agent.kill();
    agent.begin();
    let _newer = away(&stage, [&four, &three], "fourth", "second");
    let (second, after) = (killed.elapsed(), versions(&stage));
    agent.wait_until_ready();
    assert_as_from_scratch(&stage, &agent);

    let counts: Vec<_> = traffic.into_iter().map(Traffic::assert_served).collect();
    for (session, (_, to)) in sessions.iter_mut().zip(&ways) {
        session.exchange(b"still here").unwrap_or_else(|error| panic!("a session to {to}: {error}"));
    }
    let connections: u64 = counts.iter().flat_map(|count| count.answered.values()).sum();
    println!(
        "the API server was away for {first:.0?}, with {} objects changed, and for {second:.0?}, with {} changed and the \
         agent restarted: {connections} connections over {} addresses, 0 failed; {} older ones went on",
        changed(&before, &between),
        changed(&between, &after),
        ways.len(),
        sessions.len(),
    );
    let ready = names(["web-2", "web-4", "third-pod", "fourth-pod"]);
    for (from, to) in &ways {
        becomes(&format!("{to}"), &ready, || answers(from, *to));
    }
    two.set_ready(&stage, false);
    let ready = names(["web-4", "third-pod", "fourth-pod"]);
    becomes("it follows again", &ready, || answers(&ways[0].0, ways[0].1));
}
