//! Recorded events, filtered and written out.

use super::{
    clock::Moment,
    filter::Filter,
    line::{DecisionDocument, Lines},
    names::Names,
};
use crate::{
    cli::args::{Args, Command},
    cli::watch_args::TraceArgs,
    engine::{Engine, Rules},
    model::{Event, ObjectName, Protocol, Service, ServicePort, ServiceType},
    view::{DecisionView, decode},
    writer::{Capacities, MemoryMaps},
};
use clap::Parser as _;
use proxy_common::abi::{
    Address, BackendRef, Counter, ICMP, SCTP, TCP, TraceEvent, TraceHook, TraceOutcome, Tuple, UDP,
};
use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// Two Services without endpoints: `default/web`, with a NodePort, and `kube-system/kube-dns`.
fn maps() -> Engine<MemoryMaps> {
    let mut engine =
        Engine::new("n1", Rules::default(), MemoryMaps::new(&Capacities::for_cluster(8, 4))).unwrap();
    let port =
        |name: &str, protocol, port, node_port| ServicePort { name: name.into(), protocol, port, node_port };
    let service = |namespace, name, address: &str, ports| Service {
        kind: ServiceType::NodePort,
        ports,
        ..Service::cluster_ip(ObjectName::new(namespace, name), vec![address.parse().unwrap()])
    };
    let web = vec![port("http", Protocol::Tcp, 80, Some(30_080)), port("", Protocol::Sctp, 9, None)];
    let dns = vec![port("dns", Protocol::Udp, 53, None)];
    engine.apply(Event::ServiceApplied(service("default", "web", "10.96.0.10", web)));
    engine.apply(Event::ServiceApplied(service("kube-system", "kube-dns", "fd00:96::53", dns)));
    engine.sync().unwrap();
    engine
}

fn tuple(source: &str, destination: &str, protocol: u8) -> Tuple {
    let parse = |text: &str| -> (Address, u16) {
        let parsed: SocketAddr = text.parse().unwrap();
        (parsed.ip().into(), parsed.port().to_be())
    };
    let ((source, source_port), (destination, destination_port)) = (parse(source), parse(destination));
    Tuple { source, destination, source_port, destination_port, protocol: protocol.into() }
}

fn socket(hook: TraceHook, to: &str, protocol: u8, counter: Counter) -> TraceEvent {
    let before = tuple("0.0.0.0:0", to, protocol);
    TraceEvent {
        time: 1_000,
        before,
        after: before,
        cookie: 4711,
        service: TraceEvent::NO_SERVICE,
        hook: hook as u16,
        outcome: TraceOutcome::Rejected as u16,
        counter: counter as u32,
        ..TraceEvent::default()
    }
}

fn packet(hook: TraceHook, before: Tuple, outcome: TraceOutcome, counter: Counter) -> TraceEvent {
    TraceEvent {
        time: 1_000,
        before,
        after: before,
        service: TraceEvent::NO_SERVICE,
        device: 7,
        hook: hook as u16,
        outcome: outcome as u16,
        counter: counter as u32,
        ..TraceEvent::default()
    }
}

/// One of everything.
fn recorded(web: u32, dns: u32) -> Vec<TraceEvent> {
    use TraceHook::{Connect, Egress, Ingress, Send};
    use TraceOutcome::{Dropped, Forwarded, Passed, Rejected};
    let to = |event: TraceEvent, service, after| TraceEvent {
        after,
        service,
        backend: BackendRef::new(1, 1),
        outcome: Forwarded as u16,
        ..event
    };
    let outside = tuple("198.51.100.7:41234", "192.0.2.1:30080", TCP);
    vec![
        to(
            socket(Connect, "10.96.0.10:80", TCP, Counter::ConnectForwarded),
            web,
            tuple("0.0.0.0:0", "10.244.1.11:8080", TCP),
        ),
        to(
            socket(Send, "[fd00:96::53]:53", UDP, Counter::SendStaleFlow),
            dns,
            tuple("[::]:0", "[fd01::5]:5353", UDP),
        ),
        TraceEvent { service: web, ..socket(Connect, "10.96.0.10:80", TCP, Counter::ConnectNoEndpoint) },
        socket(Connect, "10.96.0.10:81", TCP, Counter::ConnectUnknownPort),
        TraceEvent {
            outcome: Passed as u16,
            ..socket(Connect, "203.0.113.20:443", TCP, Counter::SourceUnknown)
        },
        TraceEvent {
            outcome: Dropped as u16,
            ..socket(Send, "10.96.200.200:53", UDP, Counter::SendUnallocated)
        },
        to(
            packet(Ingress, outside, Forwarded, Counter::FlowNew),
            web,
            tuple("192.0.2.1:61001", "10.244.2.12:8080", TCP),
        ),
        packet(Ingress, outside, Dropped, Counter::PacketNoLocalEndpoint),
        packet(Egress, tuple("10.244.1.5:5000", "10.96.0.10:9", SCTP), Rejected, Counter::PacketNoEndpoint),
        packet(Ingress, tuple("10.244.1.5:0", "10.96.0.10:0", ICMP), Rejected, Counter::PacketUnknownPort),
    ]
}

/// What is shown of the recorded events with these arguments: as lines, and as JSON.
fn shown(args: &[&str]) -> (Vec<String>, Vec<String>) {
    let parsed = Args::try_parse_from([&["shunt", "trace"], args].concat()).unwrap();
    let Command::Trace(args) = parsed.command else { panic!("another command") };
    show(&args)
}

fn show(args: &TraceArgs) -> (Vec<String>, Vec<String>) {
    let engine = maps();
    let maps = engine.writer();
    let index = |name: &str, port: &str| {
        let ports = decode(maps).unwrap();
        let of = |id: &crate::model::PortId| id.service.name == name && id.port == port;
        ports.iter().find(|view| view.id.as_ref().is_some_and(of)).unwrap().index
    };
    let (filter, mut names, mut lines) = (Filter(args), Names::default(), Lines::default());
    let moment = Moment(1_763_730_546_123_456_789);
    let mut shown = (Vec::new(), Vec::new());
    for event in recorded(index("web", "http"), index("kube-dns", "dns")) {
        let mut decision = DecisionView::decode(&event, None).unwrap();
        decision.service = names.of(maps, &event, Instant::now()).unwrap();
        if filter.passes(&decision) && filter.passes_service(decision.service.as_ref()) {
            let device = decision.device.map(|_| "eth0");
            shown.0.push(lines.line(moment, &decision, device));
            let document = DecisionDocument::new(moment, &decision, device);
            shown.1.push(serde_json::to_string(&document).unwrap());
        }
    }
    shown
}

const LINES: &str = "\
13:09:06.123456  connect  forwarded  default/web:http      TCP 10.96.0.10:80 -> 10.244.1.11:8080
13:09:06.123456  send     forwarded  kube-system/kube-dns:dns  UDP [fd00:96::53]:53 -> [fd01::5]:5353: the endpoint that it had is gone
13:09:06.123456  connect  rejected   default/web:http          TCP 10.96.0.10:80: no usable endpoint
13:09:06.123456  connect  rejected   default/web               TCP 10.96.0.10:81: the ClusterIP does not serve this port
13:09:06.123456  connect  passed     -                         TCP 203.0.113.20:443: left to who sees the packets: source ranges, and no source address yet
13:09:06.123456  send     dropped    -                         UDP 10.96.200.200:53: no Service has this address of the ServiceCIDR
13:09:06.123456  ingress  forwarded  default/web:http          TCP 198.51.100.7:41234 > 192.0.2.1:30080 -> 192.0.2.1:61001 > 10.244.2.12:8080 on eth0
13:09:06.123456  ingress  dropped    default/web:http          TCP 198.51.100.7:41234 > 192.0.2.1:30080 on eth0: the traffic policy is Local, and no usable endpoint is here
13:09:06.123456  egress   rejected   default/web               SCTP 10.244.1.5:5000 > 10.96.0.10:9 on eth0: no usable endpoint
13:09:06.123456  ingress  rejected   default/web               ICMP 10.244.1.5 > 10.96.0.10 on eth0: the ClusterIP does not serve this port
";

#[test]
fn every_kind_of_decision_is_one_line() {
    let (lines, _) = shown(&[]);
    for (line, wanted) in lines.iter().zip(LINES.lines()) {
        assert_eq!(line, wanted);
    }
    assert_eq!(lines.len(), LINES.lines().count());
    let header = "TIME (UTC)       HOOK     OUTCOME    SERVICE               FROM AND TO";
    assert_eq!(Lines::default().header(), header);
}

#[test]
fn for_programs_it_is_one_object_with_everything_named() {
    let (_, objects) = shown(&[]);
    assert_eq!(
        objects[0],
        r#"{"time":"2025-11-21T13:09:06.123456Z","hook":"connect","outcome":"forwarded","protocol":"TCP","service":"default/web:http","before":{"source":null,"destination":"10.96.0.10:80"},"after":{"source":null,"destination":"10.244.1.11:8080"},"reason":null,"counter":"connect_forwarded","device":null,"cookie":4711}"#
    );
    assert_eq!(
        objects[7],
        r#"{"time":"2025-11-21T13:09:06.123456Z","hook":"ingress","outcome":"dropped","protocol":"TCP","service":"default/web:http","before":{"source":"198.51.100.7:41234","destination":"192.0.2.1:30080"},"after":null,"reason":"the traffic policy is Local, and no usable endpoint is here","counter":"packet_no_local_endpoint","device":"eth0","cookie":null}"#
    );
}

#[test]
fn filters_of_one_kind_add_up_and_those_of_several_must_all_hold() {
    // Arguments, and which of the recorded lines are shown.
    let cases: &[(&[&str], &[usize])] = &[
        (&["--address", "10.96.0.10"], &[0, 2, 3, 8, 9]),
        (&["--address", "::ffff:10.96.0.10"], &[0, 2, 3, 8, 9]),
        (&["--address", "10.244.0.0/16"], &[0, 6, 8, 9]),
        (&["--address", "198.51.100.7,fd01::5"], &[1, 6, 7]),
        (&["--address", "10.0.0.0/9"], &[0, 2, 3, 5, 8, 9]),
        (&["--port", "8080"], &[0, 6]),
        (&["--port", "41234"], &[6, 7]),
        (&["--port", "81", "--port", "53"], &[1, 3, 5]),
        (&["--service", "default/web"], &[0, 2, 3, 6, 7, 8, 9]),
        (&["--service", "default/web:http"], &[0, 2, 6, 7]),
        (&["--service", "kube-system/web,web/default"], &[]),
        (&["--service", "kube-system/kube-dns,default/web:http"], &[0, 1, 2, 6, 7]),
        (&["--outcome", "passed,dropped"], &[4, 5, 7]),
        (&["--outcome", "rejected"], &[2, 3, 8, 9]),
        (&["--protocol", "udp"], &[1, 5]),
        (&["--protocol", "icmp,sctp"], &[8, 9]),
        (&["--service", "default/web", "--outcome", "rejected", "--port", "81"], &[3]),
        (&["--address", "10.96.0.10", "--protocol", "udp"], &[]),
    ];
    let all = shown(&[]).1;
    for (args, wanted) in cases {
        let found: Vec<_> =
            shown(args).1.iter().map(|line| all.iter().position(|one| one == line).unwrap()).collect();
        assert_eq!(&found, wanted, "{args:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for args in [
        &["--address", "web"][..],
        &["--address", "10.96.0.0/33"],
        &["--port", "65536"],
        &["--service", "web"],
        &["--service", "/web"],
        &["--service", "default/"],
        &["--service", "default/web:"],
        &["--service", "default/web/http"],
        &["--outcome", "lost"],
        &["--protocol", "tls"],
        &["--count", "0"],
        &["--for", "5"],
    ] {
        assert!(Args::try_parse_from([&["shunt", "trace"], args].concat()).is_err(), "{args:?}");
    }
}

#[test]
fn a_service_that_came_later_is_named_and_the_maps_are_not_read_for_every_stranger() {
    let mut engine = maps();
    let (mut names, start) = (Names::default(), Instant::now());
    let event = socket(TraceHook::Connect, "10.96.0.20:81", TCP, Counter::ConnectUnknownPort);
    let mut name = |engine: &Engine<MemoryMaps>, event: &TraceEvent, seconds| {
        let found = names.of(engine.writer(), event, start + Duration::from_secs(seconds)).unwrap();
        found.map(|name| name.to_string())
    };
    assert_eq!(name(&engine, &event, 0), None);
    let address: IpAddr = "10.96.0.20".parse().unwrap();
    let late = |name| Service {
        ports: vec![ServicePort { name: "p".into(), protocol: Protocol::Tcp, port: 80, node_port: None }],
        ..Service::cluster_ip(ObjectName::new("default", name), vec![address])
    };
    engine.apply(Event::ServiceApplied(late("late")));
    engine.sync().unwrap();
    assert_eq!(name(&engine, &event, 0), None, "a moment ago nobody had it");
    assert_eq!(name(&engine, &event, 1).as_deref(), Some("default/late"));
    // Another Service has the address: what was read is believed for a while at most.
    engine.apply(Event::ServiceDeleted(ObjectName::new("default", "late")));
    engine.apply(Event::ServiceApplied(late("later")));
    engine.sync().unwrap();
    assert_eq!(name(&engine, &event, 11).as_deref(), Some("default/later"));
    // What the programs name is looked up by its index.
    let index =
        decode(engine.writer()).unwrap().iter().find(|port| port.frontends[0].port == 80).unwrap().index;
    assert!(name(&engine, &TraceEvent { service: index, ..event }, 11).is_some());
    assert_eq!(name(&engine, &TraceEvent { service: u32::MAX - 1, ..event }, 11), None);
}

#[test]
fn a_record_that_no_program_of_this_version_makes_is_passed_over() {
    let event = socket(TraceHook::Connect, "10.96.0.10:80", TCP, Counter::ConnectNoEndpoint);
    assert!(DecisionView::decode(&event, None).is_some());
    for broken in [
        TraceEvent { hook: 0, ..event },
        TraceEvent { outcome: 9, ..event },
        TraceEvent { counter: Counter::COUNT as u32, ..event },
    ] {
        assert_eq!(DecisionView::decode(&broken, None), None);
    }
}
