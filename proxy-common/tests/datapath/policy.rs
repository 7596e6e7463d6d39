//! Traffic policies: which endpoints a client may reach, by frontend, origin, policies and where endpoints are.

use crate::fake::{Fake, NODE, POD, Socket, ip, peer};
use proxy_common::{
    abi::{BackendFlags, Counter, EndpointSet, FrontendFlags, ServiceFlags, TCP, UDP},
    datapath::{Decision, Dial, Origin, PacketClient, Reason, Verdict, connect, route, send},
};

const CLUSTER_IP: FrontendFlags = FrontendFlags::CLUSTER_IP;
const NODE_PORT: FrontendFlags = FrontendFlags::NODE_PORT;
const EXTERNAL_IP: FrontendFlags = FrontendFlags::EXTERNAL_IP;
const LOAD_BALANCER: FrontendFlags = FrontendFlags::LOAD_BALANCER;

const EVERY_KIND: &[FrontendFlags] = &[CLUSTER_IP, NODE_PORT, EXTERNAL_IP, LOAD_BALANCER];
const EXTERNAL: &[FrontendFlags] = &[NODE_PORT, EXTERNAL_IP, LOAD_BALANCER];

const ANYONE: &[Origin] = &[Origin::Pod, Origin::Node, Origin::Outside];
const THIS_MACHINE: &[Origin] = &[Origin::Pod, Origin::Node];
const OTHERS: &[Origin] = &[Origin::Outside];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Policy {
    Cluster,
    Local,
}
use Policy::{Cluster, Local};

const EITHER: &[Policy] = &[Cluster, Local];

/// Where usable endpoints are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Endpoints {
    /// One on this node, and one on another.
    Here,
    /// On another node only.
    Elsewhere,
    Nowhere,
}
use Endpoints::{Elsewhere, Here, Nowhere};

const SOMEWHERE: &[Endpoints] = &[Here, Elsewhere];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    ClusterSet,
    LocalSet,
    Reject,
    Drop,
}
use Outcome::{ClusterSet, Drop, LocalSet, Reject};

struct Rule {
    frontends: &'static [FrontendFlags],
    origins: &'static [Origin],
    internal: &'static [Policy],
    external: &'static [Policy],
    endpoints: &'static [Endpoints],
    outcome: Outcome,
}

/// Kind of frontend, origin, internalTrafficPolicy, externalTrafficPolicy, endpoints, outcome.
const fn rule(
    frontends: &'static [FrontendFlags],
    origins: &'static [Origin],
    internal: &'static [Policy],
    external: &'static [Policy],
    endpoints: &'static [Endpoints],
    outcome: Outcome,
) -> Rule {
    Rule { frontends, origins, internal, external, endpoints, outcome }
}

const RULES: [Rule; 8] = [
    // Nobody can serve: everybody is told so.
    rule(EVERY_KIND, ANYONE, EITHER, EITHER, &[Nowhere], Reject),
    // A ClusterIP obeys the internal policy, whoever dials it, and the external one never.
    rule(&[CLUSTER_IP], ANYONE, &[Cluster], EITHER, SOMEWHERE, ClusterSet),
    rule(&[CLUSTER_IP], ANYONE, &[Local], EITHER, &[Here], LocalSet),
    rule(&[CLUSTER_IP], ANYONE, &[Local], EITHER, &[Elsewhere], Drop),
    // Every other frontend obeys the external policy, for what comes from elsewhere, and the internal one never.
    rule(EXTERNAL, OTHERS, EITHER, &[Cluster], SOMEWHERE, ClusterSet),
    rule(EXTERNAL, OTHERS, EITHER, &[Local], &[Here], LocalSet),
    rule(EXTERNAL, OTHERS, EITHER, &[Local], &[Elsewhere], Drop),
    // Pods and the node are served as if they had gone out to the load balancer and come back elsewhere.
    rule(EXTERNAL, THIS_MACHINE, EITHER, EITHER, SOMEWHERE, ClusterSet),
];

/// One square of the matrix.
#[derive(Clone, Copy, Debug)]
struct Square {
    frontend: FrontendFlags,
    origin: Origin,
    internal: Policy,
    external: Policy,
    endpoints: Endpoints,
}

fn matrix() -> Vec<Square> {
    let mut squares = Vec::new();
    for &frontend in EVERY_KIND {
        for &origin in ANYONE {
            for &internal in EITHER {
                for &external in EITHER {
                    for endpoints in [Here, Elsewhere, Nowhere] {
                        squares.push(Square { frontend, origin, internal, external, endpoints });
                    }
                }
            }
        }
    }
    squares
}

impl Square {
    /// The one rule that speaks of this square.
    fn outcome(&self) -> Outcome {
        let rules: Vec<_> = RULES
            .iter()
            .filter(|rule| {
                rule.frontends.contains(&self.frontend)
                    && rule.origins.contains(&self.origin)
                    && rule.internal.contains(&self.internal)
                    && rule.external.contains(&self.external)
                    && rule.endpoints.contains(&self.endpoints)
            })
            .collect();
        assert_eq!(rules.len(), 1, "{self:?}");
        rules[0].outcome
    }

    fn dialled(&self) -> &'static str {
        match self.frontend {
            CLUSTER_IP => "10.96.0.10:80",
            NODE_PORT => "192.0.2.1:30080",
            EXTERNAL_IP => "198.51.100.1:80",
            LOAD_BALANCER => "203.0.113.1:80",
            kind => panic!("{kind:?}"),
        }
    }

    /// A Service with every kind of frontend, for TCP and for UDP.
    fn tables(&self) -> Fake {
        let (cluster, local): (&[&str], &[&str]) = match self.endpoints {
            Here => (&["10.1.0.1:8080", "10.2.0.1:8080"], &["10.1.0.1:8080"]),
            Elsewhere => (&["10.2.0.1:8080"], &[]),
            Nowhere => (&[], &[]),
        };
        let mut flags = ServiceFlags::default();
        for (policy, flag) in
            [(self.internal, ServiceFlags::INTERNAL_LOCAL), (self.external, ServiceFlags::EXTERNAL_LOCAL)]
        {
            if policy == Local {
                flags |= flag;
            }
        }
        if self.endpoints != Nowhere {
            flags |= ServiceFlags::ANY_USABLE;
        }
        let mut fake = Fake::default();
        for protocol in [TCP, UDP] {
            let service = fake.serve("10.96.0.10:80", protocol, cluster, local);
            fake.policy(service, flags);
            fake.frontend(service, NODE_PORT, "0.0.0.0:30080", protocol);
            fake.frontend(service, EXTERNAL_IP, "198.51.100.1:80", protocol);
            fake.frontend(service, LOAD_BALANCER, "203.0.113.1:80", protocol);
        }
        fake.node_address("192.0.2.1");
        fake
    }
}

#[test]
fn every_square_of_the_matrix_is_decided_by_one_rule() {
    let matrix = matrix();
    assert_eq!(matrix.len(), 4 * 3 * 2 * 2 * 3);
    for square in matrix {
        let fake = square.tables();
        let client = PacketClient { origin: square.origin, address: ip("192.0.2.77") };
        let verdict = route(&fake, &client, &peer(square.dialled()), TCP);
        match (square.outcome(), verdict) {
            (Reject, Verdict::Reject(reason)) => assert_eq!(reason, Reason::NoEndpoint, "{square:?}"),
            (Drop, Verdict::Drop(reason)) => assert_eq!(reason, Reason::NoLocalEndpoint, "{square:?}"),
            (ClusterSet, Verdict::Forward(route)) => {
                assert_eq!((route.set, route.member), (fake.services[0].cluster, BackendFlags::IN_CLUSTER));
                assert_eq!((route.frontend.service, route.frontend.kind()), (0, square.frontend));
            }
            (LocalSet, Verdict::Forward(route)) => {
                assert_eq!((route.set, route.member), (fake.services[0].local, BackendFlags::IN_LOCAL));
                assert_eq!((route.frontend.service, route.frontend.kind()), (0, square.frontend));
            }
            (expected, verdict) => panic!("{square:?}: {expected:?}, but {verdict:?}"),
        }
    }
}

#[test]
fn sockets_of_pods_and_of_the_node_are_decided_by_the_same_rules() {
    type Call = fn(&Fake, &Socket, &Dial) -> Decision;
    let calls: [(u8, Call, [Counter; 3]); 2] = [
        (
            TCP,
            connect,
            [Counter::ConnectForwarded, Counter::ConnectNoEndpoint, Counter::ConnectNoLocalEndpoint],
        ),
        (UDP, send, [Counter::SendNewFlow, Counter::SendNoEndpoint, Counter::SendNoLocalEndpoint]),
    ];
    for square in matrix() {
        let Some(client) = [POD, NODE].into_iter().find(|client| client.origin == square.origin) else {
            continue;
        };
        for (protocol, call, [forwarded, no_endpoint, no_local_endpoint]) in calls {
            let fake = square.tables();
            // The last of a set: in the cluster set never the endpoint of the local set.
            fake.random.set(u32::MAX);
            let decision = call(&fake, &client, &Dial { cookie: 1, peer: peer(square.dialled()), protocol });
            let (expected, counter) = match square.outcome() {
                Reject => (Decision::Refuse, no_endpoint),
                Drop => (Decision::Drop, no_local_endpoint),
                ClusterSet => (Decision::Rewrite(peer("10.2.0.1:8080")), forwarded),
                LocalSet => (Decision::Rewrite(peer("10.1.0.1:8080")), forwarded),
            };
            assert_eq!(decision, expected, "{square:?}");
            assert_eq!(fake.counts(), [(counter, 1)], "{square:?}");
        }
    }
}

#[test]
fn a_cluster_policy_never_drops() {
    // The set and the flag are two stores, and this program reads between them.
    let mut fake = Fake::default();
    let service = fake.serve("10.96.0.10:80", TCP, &[], &[]);
    fake.policy(service, ServiceFlags::ANY_USABLE);
    let client = PacketClient { origin: Origin::Pod, address: ip("10.1.0.77") };
    let verdict = route(&fake, &client, &peer("10.96.0.10:80"), TCP);
    assert_eq!(verdict, Verdict::Reject(Reason::NoEndpoint));
}

#[test]
fn a_frontend_that_leads_outside_of_the_tables_is_refused_and_counted_as_a_bug() {
    let mut fake = Fake::default();
    fake.frontend(99, LOAD_BALANCER, "203.0.113.1:80", TCP);
    let dial = Dial { cookie: 1, peer: peer("203.0.113.1:80"), protocol: TCP };
    assert_eq!(connect(&fake, &POD, &dial), Decision::Refuse);
    // So is a set whose slots, and a slot whose backend, lie outside.
    let service = fake.serve("10.96.0.10:80", TCP, &["10.1.0.1:8080"], &[]);
    let dial = Dial { peer: peer("10.96.0.10:80"), ..dial };
    fake.backends.clear();
    assert_eq!(connect(&fake, &POD, &dial), Decision::Refuse);
    fake.services[service as usize].cluster = EndpointSet::new(1_000, 1);
    assert_eq!(connect(&fake, &POD, &dial), Decision::Refuse);
    assert_eq!(fake.counts(), [(Counter::Inconsistent, 3)]);
}
