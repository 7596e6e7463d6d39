//! The flow table under strain: too small by far, without ports, and with two CPUs at once.

use crate::{
    ask::SILENCE,
    clean::wait_until,
    flows::{Connection, Flows, key},
    raw::{Raw, node_ports},
    service::{ready, service},
    stage::{Setup, Stage},
    wire::{ACK, Ip, Packet, RST, SYN, TCP, UDP, frame, udp},
};
use proxy_common::abi::Counter;
use shunt::model::Service;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr, TcpListener},
    ops::Range,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

/// Flows at once, and what each says. They would need four times as many entries as there are.
const FLOWS: u16 = 128;
const ENTRIES: u32 = 64;
const WORDS: usize = 3;

/// A connection, and how much of what it says came back.
struct Talk {
    connection: Connection,
    /// When it last sent, and how many bytes of the word that it is at have come back.
    sent: Instant,
    back: usize,
    words: usize,
}

const WORD: &[u8] = b"word";

impl Talk {
    /// Sends what is due, or repeats it.
    fn go_on(&mut self, raw: &Raw) {
        self.sent = Instant::now();
        if self.connection.ack == 0 {
            self.connection.repeat(raw, SYN, b"");
        } else if self.connection.line.ends_with('\n') {
            self.connection.repeat(raw, ACK, WORD);
        } else {
            self.connection.repeat(raw, ACK, b"");
        }
    }

    fn take(&mut self, raw: &Raw, packet: &Packet) {
        if self.connection.ack == 0 {
            self.connection.seq += 1;
        }
        let greeted = self.connection.line.ends_with('\n');
        let (_, data) = self.connection.take(raw, packet);
        if greeted {
            self.back += data.len();
            if self.back == WORD.len() {
                self.connection.seq += WORD.len() as u32;
                (self.back, self.words) = (0, self.words + 1);
            }
        }
        if self.words < WORDS && !data.is_empty() {
            self.go_on(raw);
        }
    }
}

#[test]
fn a_flow_that_was_evicted_goes_on_with_its_backend_or_ends() {
    for (clsact, masquerade_always) in [(false, true), (true, true), (false, false)] {
        let setup = Setup { flows: ENTRIES, clsact, masquerade_always, ..Setup::default() };
        let Some(mut stage) = Stage::new(&setup) else { return };
        let backends: Vec<_> =
            [(0, "a"), (0, "b"), (1, "c"), (1, "d")].map(|(node, name)| stage.pod(node, name)).into();
        stage.serve(&service(1), &ready(&backends.iter().collect::<Vec<_>>()));
        let raw = Raw::new(&stage);
        let mut talks = BTreeMap::new();
        for to in node_ports(&stage, 1) {
            for port in 7_000..7_000 + FLOWS / 2 {
                let from = raw.at(port, to.ip());
                let connection = Connection::new(from, to);
                let mut talk = Talk { connection, sent: Instant::now(), back: 0, words: 0 };
                talk.go_on(&raw);
                talks.insert((to, from), talk);
            }
        }
        let (end, mut leaked, mut reset) = (Instant::now() + Duration::from_secs(8), 0, 0);
        let done = |talks: &BTreeMap<_, Talk>| talks.values().filter(|talk| talk.words == WORDS).count();
        while Instant::now() < end && done(&talks) < talks.len() {
            while let Some(packet) = raw.next(Duration::from_millis(2), |packet| packet.protocol == TCP) {
                let ends = packet.ends();
                // A backend whose answers find no flow hears from the node's stack that there is no connection.
                if packet.payload[13] & RST != 0 {
                    reset += usize::from(talks.remove(&ends).is_some());
                    continue;
                }
                let Some(talk) = talks.get_mut(&ends) else {
                    // The flow of a client whose address a backend of this node sees cannot be told from one that
                    // the backend has by itself.
                    assert!(!masquerade_always, "untranslated: {packet:x?}");
                    leaked += 1;
                    continue;
                };
                talk.take(&raw, &packet);
            }
            for talk in talks.values_mut() {
                if talk.words < WORDS && talk.sent.elapsed() > Duration::from_millis(250) {
                    talk.go_on(&raw);
                }
            }
        }
        let done = done(&talks);
        let begun = stage.counter(Counter::FlowNew);
        println!("{done} of {FLOWS} got on, {begun} begun, {leaked} untranslated, {reset} reset");
        assert!(begun > u64::from(FLOWS) * 2, "{begun}: nothing was evicted");
        assert!(done > 0, "some of them get on");
        // Over all of them each backend had some, so a wrong one would have shown.
        let names: BTreeSet<_> =
            talks.values().filter(|talk| talk.words > 0).map(|talk| talk.connection.name()).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(stage.counter(Counter::Inconsistent), 0);
        drop(backends);
        stage.assert_nothing_left();
    }
}

#[test]
fn without_a_free_port_only_the_new_flow_is_dropped() {
    let setup = Setup { ports: 61_000..=61_003, ..Setup::default() };
    let Some(mut stage) = Stage::new(&setup) else { return };
    let backend = stage.pod(1, "remote");
    stage.serve(&service(1), &ready(&[&backend]));
    let raw = Raw::new(&stage);
    for to in node_ports(&stage, 1) {
        let mut ports = 7_200..;
        let mut open: Vec<Connection> = Vec::new();
        let mut attempt = |exhausted: u64| {
            let mut connection = Connection::new(raw.at(ports.next().unwrap(), to.ip()), to);
            let (answer, [counted]) = stage.counted([Counter::PortsExhausted], || {
                connection.repeat(&raw, SYN, b"");
                let is_mine =
                    |packet: &Packet| packet.payload.len() >= 20 && packet.ends() == (to, connection.from);
                raw.next(SILENCE, is_mine)
            });
            assert!(counted <= exhausted && (counted == 1) == answer.is_none(), "{counted} {answer:?}");
            let mut packet = answer?;
            connection.seq += 1;
            while !connection.line.ends_with('\n') {
                connection.take(&raw, &packet);
                if !connection.line.ends_with('\n') {
                    packet = raw.receive(to, connection.from);
                }
            }
            Some(connection)
        };
        for _ in 0..20 {
            open.extend(attempt(1));
            if open.len() == 4 {
                break;
            }
        }
        let seen: BTreeSet<_> = open.iter().map(|connection| connection.seen().port()).collect();
        assert_eq!(seen, (61_000..=61_003).collect());
        for _ in 0..3 {
            assert!(attempt(1).is_none());
        }
        open.iter_mut().for_each(|connection| connection.exchange(&raw, b"still there?"));
        if to.is_ipv6() {
            continue;
        }
        // A flow that has ended gives its port back, once what was under way has arrived.
        let mut last = open.pop().unwrap();
        last.send(&raw, RST | ACK, b"");
        thread::sleep(Duration::from_millis(3_100));
        let next = (0..10).find_map(|_| attempt(1)).unwrap();
        assert_eq!(next.seen(), last.seen());
        open.iter_mut().for_each(|connection| connection.exchange(&raw, b"still there?"));
    }
    drop(backend);
    stage.assert_nothing_left();
}

#[test]
fn ports_of_sockets_and_node_ports_are_not_used() {
    let setup = Setup { ports: 61_000..=61_009, ..Setup::default() };
    let Some(mut stage) = Stage::new(&setup) else { return };
    let backend = stage.pod(1, "remote");
    let mut own = service(2);
    own.ports.iter_mut().for_each(|port| port.node_port = Some(61_002));
    stage.serve(&service(1), &ready(&[&backend]));
    stage.serve(&own, &ready(&[&backend]));
    let any: IpAddr = "::".parse().unwrap();
    let listen = |port| TcpListener::bind(SocketAddr::new(any, port)).unwrap();
    let listeners = stage.node().run(|| [61_000, 61_001].map(listen)).unwrap();
    let sockets =
        stage.node().run(|| std::net::UdpSocket::bind(SocketAddr::new(any, 61_003)).unwrap()).unwrap();
    let taken =
        |protocol: u8| if protocol == TCP { vec![61_000, 61_001, 61_002] } else { vec![61_002, 61_003] };
    let raw = Raw::new(&stage);
    let flows = Flows::of(&stage);
    let mut used = BTreeSet::new();
    for to in node_ports(&stage, 1) {
        for port in 7_400..7_440 {
            let from = raw.at(port, to.ip());
            for protocol in [TCP, UDP] {
                if protocol == TCP {
                    Connection::new(from, to).repeat(&raw, SYN, b"");
                } else {
                    raw.send_udp(from, to, b"?", |_| {});
                }
                let answer =
                    raw.next(SILENCE, |packet| packet.payload.len() >= 8 && packet.ends() == (to, from));
                let Some(entry) = flows.entry(&key(from, to, protocol)) else {
                    assert!(answer.is_none());
                    continue;
                };
                assert!(answer.is_some(), "{protocol} {from}");
                let port = u16::from_be(entry.source_port);
                assert!(!taken(protocol).contains(&port), "{protocol} from {port}");
                used.insert((protocol, port));
                if protocol == TCP {
                    // The backend is to know no connection from that port when the next one comes from it.
                    let reset = Connection { seq: 1_001, ..Connection::new(from, to) };
                    reset.repeat(&raw, RST, b"");
                    wait_until("the reset has passed", || {
                        flows.entry(&key(from, to, TCP)).unwrap().is_closed()
                    });
                }
                flows.delete(&entry.other(u32::from(protocol)));
                flows.delete(&key(from, to, protocol));
            }
        }
    }
    assert_eq!(used.len(), 7 + 8, "{used:?}");
    drop((listeners, sockets, backend));
    stage.assert_nothing_left();
}

#[test]
fn two_cpus_that_begin_one_flow_at_once_choose_one_backend() {
    const ROUNDS: u16 = 400;
    for (clsact, affinity_seconds) in [(false, None), (true, None), (false, Some(60))] {
        let Some(mut stage) = Stage::new(&Setup { clsact, ..Setup::default() }) else { return };
        let backends: Vec<_> =
            [(0, "a"), (0, "b"), (1, "c"), (1, "d")].map(|(node, name)| stage.pod(node, name)).into();
        stage
            .serve(&Service { affinity_seconds, ..service(1) }, &ready(&backends.iter().collect::<Vec<_>>()));
        let (raw, second) = (Raw::new(&stage), Raw::new(&stage));
        let mut names = BTreeSet::new();
        for to in node_ports(&stage, 1) {
            let at_once = Barrier::new(2);
            let from = |round: u16| raw.at(10_000 + round, to.ip());
            let send = |by: &Raw, rounds: Range<u16>| {
                for round in rounds {
                    let packet =
                        Ip::new(from(round).ip(), to.ip()).carrying(UDP, &udp(from(round), to, &[b'?'; 64]));
                    let frame = frame(raw.node(), by.frames().mac(), &[], &packet);
                    at_once.wait();
                    by.send_frame(&frame);
                }
            };
            let mut answers: BTreeMap<u16, Vec<String>> = BTreeMap::new();
            // Few enough for the queue of whoever receives them.
            for rounds in (0..ROUNDS).step_by(50).map(|first| first..first + 50) {
                thread::scope(|scope| {
                    scope.spawn(|| send(&raw, rounds.clone()));
                    scope.spawn(|| send(&second, rounds.clone()));
                });
                let answer = |_| raw.next(SILENCE, |packet| packet.protocol == UDP);
                for packet in rounds.flat_map(|_| 0..2).map_while(answer) {
                    assert_eq!(packet.ends().0, to);
                    let line = packet.data().split(|byte| *byte == b'\n').next().unwrap();
                    let line = String::from_utf8(line.to_vec()).unwrap();
                    answers.entry(packet.ends().1.port()).or_default().push(line);
                }
            }
            for (port, lines) in &answers {
                assert!(lines.iter().all(|line| *line == lines[0]), "{port}: {lines:?}");
                names.extend(lines[0].split(' ').next().map(str::to_owned));
            }
            let whole = answers.values().filter(|lines| lines.len() == 2).count();
            assert!(whole * 20 > usize::from(ROUNDS) * 19, "{whole} of {ROUNDS} were answered twice");
            for counter in [Counter::PortsExhausted, Counter::FlowsFull, Counter::PacketUnreturnable] {
                assert_eq!(stage.counter(counter), 0, "{}", counter.name());
            }
        }
        let expected = if affinity_seconds.is_some() { 2 } else { 4 };
        assert!(names.len() <= expected && (affinity_seconds.is_some() || names.len() == 4), "{names:?}");
        drop(backends);
        stage.assert_nothing_left();
    }
}
