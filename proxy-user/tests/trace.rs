//! `shunt trace` on a live node: what it shows, who may watch, how it ends, and that it costs nothing otherwise.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

mod command;
#[allow(dead_code)] // only the path is used here
mod golden;
mod watching;

use aya::maps::{Map, MapData, RingBuf};
use command::{Said, said, skipped, wait_until};
use proxy_common::abi::ABI_VERSION;
use rustix::process::Signal;
use serde_json::{Value, json};
use shunt::kernel::{LEASE, Watcher};
use std::{
    fs,
    net::UdpSocket,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};
use watching::{NEAR, NEAR_ENDPOINT, Running, Watched};

/// Hook, outcome, service, before, after and counter.
fn facts(event: &Value) -> [Value; 6] {
    let (before, after) = (&event["before"]["destination"], &event["after"]["destination"]);
    [&event["hook"], &event["outcome"], &event["service"], before, after, &event["counter"]].map(Value::clone)
}

fn pin(watched: &Watched, map: &str) -> PathBuf {
    Path::new(&watched.site.pins()).join(format!("v{ABI_VERSION}/maps/{map}"))
}

/// The ring buffer, from where its last reader stopped.
fn events(watched: &Watched) -> RingBuf<MapData> {
    RingBuf::try_from(Map::RingBuf(MapData::from_pin(pin(watched, "EVENTS")).unwrap())).unwrap()
}

/// The lease, nanoseconds of CLOCK_MONOTONIC.
fn lease(watched: &Watched) -> u64 {
    let map = Map::Array(MapData::from_pin(pin(watched, "TRACE")).unwrap());
    let lease: aya::maps::Array<_, u64> = map.try_into().unwrap();
    lease.get(&0, 0).unwrap()
}

fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// SIGINT ends it, with exit code 0.
fn interrupt(mut running: Running) {
    running.signal(Signal::INT);
    assert_eq!(running.ended().code(), Some(0), "{}", running.err());
}

#[test]
fn calls_are_shown_as_they_are_decided() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    let mut trace = watched.trace(&[]);
    watched.connect(NEAR);
    watched.connect("10.96.0.70:80");
    watched.connect("10.96.0.10:81");
    watched.connect("10.96.200.200:80");
    watched.connect("203.0.113.20:443");
    watched.send("10.96.0.10:53", 3);
    // None of our business.
    watched.connect("192.0.2.99:80");
    watched.send("192.0.2.99:53", 1);
    let shown = trace.wait_for_objects(6);
    let endpoint = shown[5]["after"]["destination"].clone();
    assert!(["10.244.1.11:5353", "10.244.2.12:5353"].map(Value::from).contains(&endpoint), "{endpoint}");
    let wanted = [
        json!(["connect", "forwarded", "default/near:http", NEAR, NEAR_ENDPOINT, "connect_forwarded"]),
        json!(["connect", "rejected", "default/empty", "10.96.0.70:80", null, "connect_no_endpoint"]),
        json!(["connect", "rejected", "default/web", "10.96.0.10:81", null, "connect_unknown_port"]),
        json!(["connect", "dropped", null, "10.96.200.200:80", null, "connect_unallocated"]),
        json!(["connect", "passed", "default/edge", "203.0.113.20:443", null, "source_unknown"]),
        json!(["send", "forwarded", "default/web:dns", "10.96.0.10:53", endpoint, "send_new_flow"]),
    ];
    for (event, wanted) in shown.iter().zip(&wanted) {
        assert_eq!(json!(facts(event)), *wanted);
        assert!(event["cookie"].as_u64().unwrap() > 0 && event["device"].is_null(), "{event}");
        assert!(event["before"]["source"].is_null(), "{event}");
    }
    let times: Vec<_> = shown.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    interrupt(trace);
    assert_eq!(lease(&watched), 0, "it has given the lease back");
}

#[test]
fn people_are_shown_lines_beneath_a_header() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    let mut trace = watched.start(&["trace", "--count", "1"], "decisions are shown");
    watched.connect("10.96.0.70:80");
    assert_eq!(trace.ended().code(), Some(0));
    let out = trace.out();
    let [header, line] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
    assert!(header.starts_with("TIME (UTC)       HOOK     OUTCOME    SERVICE "), "{header}");
    let (time, rest) = line.split_once("  ").unwrap();
    assert_eq!(time.len(), "13:09:06.123456".len(), "{line}");
    assert_eq!(rest, "connect  rejected   default/empty         TCP 10.96.0.70:80: no usable endpoint");
}

#[test]
fn filters_and_bounds_hold_live_and_without_an_agent() {
    if skipped() {
        return;
    }
    let mut watched = Watched::new();
    assert_eq!(watched.agent.take().unwrap().stop().code(), Some(0));
    let mut trace = watched.trace(&["--service", "default/near", "--outcome", "forwarded", "--count", "2"]);
    watched.connect("10.96.0.70:80");
    watched.connect(NEAR);
    watched.connect("10.96.0.30:81");
    watched.connect(NEAR);
    watched.connect(NEAR);
    assert_eq!(trace.ended().code(), Some(0), "{}", trace.err());
    assert_eq!(
        trace.objects().iter().map(|event| event["before"]["destination"].clone()).collect::<Vec<_>>(),
        [NEAR, NEAR]
    );
    let mut bounded = watched.trace(&["--for", "200ms"]);
    assert_eq!((bounded.ended().code(), bounded.objects().len()), (Some(0), 0));
}

#[test]
fn a_second_watcher_is_told_who_watches() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    let mut first = watched.trace(&[]);
    let second = said(&["trace", "--pin-path", &watched.site.pins()]);
    assert_eq!(
        (second.code, second.out.as_str(), second.err.lines().count()),
        (Some(1), "", 1),
        "{}",
        second.err
    );
    let who = format!("watched by process {} (shunt) already", first.id());
    assert!(second.err.contains(&who), "{}", second.err);
    // The first was not disturbed.
    watched.connect(NEAR);
    first.wait_for_objects(1);
    interrupt(first);
    let mut next = watched.trace(&[]);
    watched.connect(NEAR);
    next.wait_for_objects(1);
    interrupt(next);
}

#[test]
fn nothing_is_emitted_while_nobody_watches() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    let mut ring = events(&watched);
    let dial = || {
        watched.connect(NEAR);
        watched.connect("10.96.0.70:80");
        watched.send("10.96.0.10:53", 2);
    };
    dial();
    assert!(ring.next().is_none(), "before anybody watched");
    let mut trace = watched.trace(&[]);
    dial();
    trace.wait_for_objects(3);
    interrupt(trace);
    let mut ring = events(&watched);
    dial();
    assert!(ring.next().is_none(), "after they have ended");
}

#[test]
fn a_killed_watchers_lease_ends_and_what_it_left_is_not_shown() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    let mut killed = watched.trace(&[]);
    killed.signal(Signal::KILL);
    assert_eq!(killed.ended().code(), None);
    let until = lease(&watched);
    assert!(until > now() && until <= now() + LEASE.as_nanos() as u64, "{until}");
    watched.connect(NEAR);
    assert!(events(&watched).next().is_some(), "the lease goes on for a while");
    watched.connect(NEAR);
    let mut next = watched.trace(&[]);
    watched.connect("10.96.0.70:80");
    let shown = next.wait_for_objects(1);
    assert_eq!(shown[0]["service"], "default/empty", "what came before it is not its business");
    next.signal(Signal::KILL);
    next.ended();
    let mut ring = events(&watched);
    while ring.next().is_some() {}
    wait_until("the lease ends", || now() > lease(&watched));
    watched.connect(NEAR);
    assert!(ring.next().is_none());
}

#[test]
fn decisions_that_were_made_too_fast_are_counted() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    const MADE: usize = 4_000;
    // A busy machine may not get them all made before the lease ends.
    for attempt in 0.. {
        let mut trace = watched.trace(&[]);
        trace.signal(Signal::STOP);
        watched.dial(|| {
            for _ in 0..MADE {
                let _ = UdpSocket::bind("127.0.0.1:0").unwrap().connect("10.96.0.30:80");
            }
        });
        let in_time = now() < lease(&watched);
        trace.signal(Signal::CONT);
        if !in_time {
            assert!(attempt < 5, "this machine is too slow");
            continue;
        }
        trace.wait_for("what was lost is said", |trace| trace.err().contains("are missing lost="));
        trace.wait_for("the rest is shown", |trace| {
            let err = trace.err();
            let lost: usize = err
                .lines()
                .filter_map(|line| line.split_once("are missing lost=")?.1.trim().parse::<usize>().ok())
                .sum();
            lost > 0 && trace.objects().len() + lost == MADE
        });
        interrupt(trace);
        break;
    }
}

#[test]
fn a_reader_that_stops_is_told_what_it_missed() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    let mut watcher = Watcher::open(Path::new(&watched.site.pins())).unwrap();
    assert_eq!(watcher.renew(), None);
    watched.connect(NEAR);
    assert!(watcher.next_event().is_some() && watcher.next_event().is_none());
    thread::sleep(LEASE + Duration::from_millis(50));
    watched.connect(NEAR);
    assert!(watcher.next_event().is_none(), "the lease has ended");
    let gap = watcher.renew().unwrap();
    assert!(gap >= Duration::from_millis(50) && gap < Duration::from_secs(60), "{gap:?}");
    watched.connect(NEAR);
    assert!(watcher.next_event().is_some());
    drop(watcher);
    assert_eq!(lease(&watched), 0);
}

#[test]
fn it_ends_with_the_maps() {
    if skipped() {
        return;
    }
    let mut watched = Watched::new();
    let mut trace = watched.trace(&[]);
    watched.agent.take().unwrap().stop();
    shunt::kernel::remove(Path::new(&watched.site.pins())).unwrap();
    assert_eq!(trace.ended().code(), Some(1));
    assert!(trace.err().contains("the maps were removed"), "{}", trace.err());
}

#[test]
fn what_is_missing_is_said() {
    if skipped() {
        return;
    }
    let watched = Watched::new();
    for command in ["trace", "top"] {
        let said = said(&[command, "--pin-path", "/no/such/pins"]);
        assert_eq!(
            (said.code, said.out.as_str(), said.err.lines().count()),
            (Some(2), "", 1),
            "{}",
            said.err
        );
        for text in ["no agent has used this pin path", "shunt run", "--pin-path"] {
            assert!(said.err.contains(text), "{text:?} is not in: {}", said.err);
        }
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    // The checkout may be where nobody can read it.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("shunt");
    fs::copy(command::PROGRAM, &program).unwrap();
    for command in ["trace", "top"] {
        let mut nobody = Command::new(&program);
        nobody.args([command, "--pin-path", &watched.site.pins()]).uid(65_534).gid(65_534);
        let said: Said = nobody.output().unwrap().into();
        assert_eq!(
            (said.code, said.out.as_str(), said.err.lines().count()),
            (Some(2), "", 1),
            "{}",
            said.err
        );
        assert!(said.err.contains("run as root, or give the process CAP_BPF"), "{}", said.err);
    }
}
