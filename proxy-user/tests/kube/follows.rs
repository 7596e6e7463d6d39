//! Traffic follows what the cluster says.

use crate::{
    becomes,
    stage::Stage,
    traffic::{Traffic, answers, answers_by_udp, names, refused},
};
use serde_json::json;
use shunt::lab::{Place, TcpSession};
use std::{net::SocketAddr, time::Duration};

#[test]
fn clients_reach_the_pods_that_are_ready_by_every_address() {
    let Some(stage) = Stage::new() else { return };
    let agent = stage.shunt(0);
    stage.serve("web", "LoadBalancer", &json!({}));
    let client = stage.pod(0, "client", "client");
    let pods = [(0, "web-1"), (1, "web-2"), (1, "web-3")].map(|(node, name)| stage.pod(node, "web", name));

    // Who asks, and where: by sockets and by packets.
    let (outside, inside) = (Place::from(stage.lan.client()), agent.with_sockets(client.place()));
    let node_ports = stage.node_ports("web", 0);
    let ways = |from: &Place, to: &[SocketAddr]| to.iter().map(|to| (from.clone(), *to)).collect::<Vec<_>>();
    let mut ways = [
        ways(&inside, &stage.cluster_ips("web")),
        ways(&agent.node(), &stage.cluster_ips("web")),
        ways(&inside, &node_ports),
        ways(&outside, &node_ports),
    ]
    .concat();
    let all = names(["web-1", "web-2", "web-3"]);
    for (from, to) in &ways {
        becomes(&format!("{to}"), &all, || answers(from, *to));
    }
    for to in stage.cluster_ips("web") {
        becomes(&format!("{to} by UDP"), &all, || answers_by_udp(&inside, to));
    }

    // A load balancer's addresses, once it has said which.
    for to in stage.balance("web") {
        ways.extend([(outside.clone(), to), (inside.clone(), to)]);
    }
    let traffic: Vec<_> = ways.iter().map(|(from, to)| (from, *to)).collect();
    for (from, to) in &traffic {
        becomes(&format!("{to}"), &all, || answers(from, *to));
    }

    // They come and go; while one of them is ready, nobody is refused.
    let traffic: Vec<_> =
        ways.iter().map(|(from, to)| Traffic::start("a client", from.clone(), *to)).collect();
    for (ready, left) in [
        ([true, false, true], &["web-1", "web-3"][..]),
        ([false, false, true], &["web-3"]),
        ([false, true, false], &["web-2"]),
        ([true, true, true], &["web-1", "web-2", "web-3"]),
    ] {
        // Those that come first: there is one all the time.
        for now in [true, false] {
            let changed = pods.iter().zip(ready).filter(|(_, ready)| *ready == now);
            changed.for_each(|(pod, ready)| pod.set_ready(&stage, ready));
            if now {
                let wanted = ready.iter().zip(&pods).filter(|(ready, _)| **ready);
                let wanted: Vec<_> = wanted.map(|(_, pod)| pod.name().to_owned()).collect();
                becomes("the new ones are reached", &true, || {
                    let reached = answers(&ways[0].0, ways[0].1);
                    wanted.iter().all(|name| reached.contains(name))
                });
            }
        }
        let left = left.iter().map(ToString::to_string).collect();
        for (from, to) in &ways {
            becomes(&format!("{to} with {left:?}"), &left, || answers(from, *to));
        }
    }
    traffic.into_iter().for_each(|client| drop(client.assert_served()));

    pods.iter().for_each(|pod| pod.set_ready(&stage, false));
    for (from, to) in &ways {
        becomes(&format!("{to} without pods"), &refused(), || answers(from, *to));
    }
    stage.kubectl().run(&["delete", "service", "web"]);
    becomes("nothing of the Service is left", &false, || agent.site.dump().contains("\"web\""));
}

#[test]
fn a_pod_that_terminates_keeps_what_it_has_and_gets_no_more() {
    let Some(stage) = Stage::new() else { return };
    let agent = stage.shunt(0);
    stage.serve("web", "NodePort", &json!({}));
    let client = stage.pod(0, "client", "client");
    let [one, two] = [(0, "web-1"), (1, "web-2")].map(|(node, name)| stage.pod(node, "web", name));
    let (outside, inside) = (Place::from(stage.lan.client()), agent.with_sockets(client.place()));
    let ways = [(inside, stage.cluster_ips("web")[0]), (outside, stage.node_ports("web", 0)[0])];
    let all_become = |wanted: &[&str]| {
        let wanted = wanted.iter().map(ToString::to_string).collect();
        for (from, to) in &ways {
            becomes(&format!("{to}"), &wanted, || answers(from, *to));
        }
    };
    all_become(&["web-1", "web-2"]);
    let open = |(from, to): &(Place, SocketAddr)| {
        let session = || TcpSession::open(*to, Duration::from_secs(5)).unwrap();
        let mut sessions = std::iter::repeat_with(|| from.run(session).unwrap());
        sessions.find(|session| session.reply().name == "web-2").unwrap()
    };
    let mut sessions = [open(&ways[0]), open(&ways[1])];

    two.delete(&stage);
    all_become(&["web-1"]);
    // It is the last that still serves: better than nobody.
    one.set_ready(&stage, false);
    all_become(&["web-2"]);
    for session in &mut sessions {
        session.exchange(b"still here").unwrap();
    }
    // It says so itself, and then nobody is left.
    two.set_ready(&stage, false);
    for (from, to) in &ways {
        becomes(&format!("{to}"), &refused(), || answers(from, *to));
    }
    one.set_ready(&stage, true);
    all_become(&["web-1"]);
    two.ended(&stage);
    becomes("one endpoint", &1, || stage.endpoints("web", ToString::to_string).len());
    all_become(&["web-1"]);
}
