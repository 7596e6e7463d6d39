//! The kernel's maps: what plans write, what it costs, and how it reads back. Needs root; see
//! `kernel_lab` for what it touches.
#![cfg(feature = "lab")]

mod kernel_lab;

use kernel_lab::{Lab, backend, cluster_ip, frontend, slot, small};
use proxy_common::abi::{
    BackendEntry, BackendFlags, BackendRef, EndpointSet, Network, NetworkKey, NodeEntry, NodeFlags,
    ServiceEntry, ServiceFlags, SourceRangeKey, SourceRule, TCP, UDP,
};
use shunt::kernel::sys::{Access, MapFd, calls};
use shunt::kernel::{Attached, Kernel, MAPS, Options, PROGRAMS};
use shunt::writer::{Capacities, FrontendKey, MapReader, MemoryMaps, PrefixKey, Store, Writer};
use std::time::Instant;
use zerocopy::IntoBytes;

/// Number of bpf(2) calls that `work` makes.
fn cost<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = calls();
    let value = work();
    (value, calls() - before)
}

fn every_store() -> Vec<Store> {
    let entry = ServiceEntry {
        cluster: EndpointSet::new(8, 2),
        local: EndpointSet::new(16, 1),
        affinity_seconds: 7,
        flags: ServiceFlags::ANY_USABLE,
        name: 3,
        health_check_node_port: 32_000,
        reserved: 0,
    };
    vec![
        Store::Backend { index: 5, entry: backend("10.0.0.5", 8080, 9) },
        Store::Backend { index: 511, entry: backend("fd00::5", 8081, 9) },
        Store::BackendState { index: 511, flags: BackendFlags::LIVE, generation: 2 },
        Store::Node { entry: NodeEntry { flags: NodeFlags::SERVICE_CIDRS, reserved: 0 } },
        Store::Slot { index: 8, backend: slot(5) },
        Store::Slot { index: 9, backend: slot(6) },
        Store::Slot { index: 1_023, backend: slot(511) },
        Store::ClearSlots { base: 9, count: 2 },
        Store::Service { service: 63, entry },
        Store::Policy {
            service: 9,
            affinity_seconds: 10_800,
            flags: ServiceFlags::INTERNAL_LOCAL,
            name: 1,
            health_check_node_port: 32_001,
        },
        Store::ClusterSet { service: 9, set: EndpointSet::new(8, 1) },
        Store::LocalSet { service: 9, set: EndpointSet::new(24, 0) },
        Store::Policy {
            service: 63,
            affinity_seconds: 0,
            flags: ServiceFlags::ANY_USABLE,
            name: 4,
            health_check_node_port: 0,
        },
        Store::Name { cell: 0, text: "default/web:http".into() },
        Store::Name { cell: 3, text: "a".repeat(300).into() },
        Store::Name { cell: 100, text: "gone".into() },
        Store::ClearName { cell: 100, count: 1 },
    ]
}

/// Everything that the mapped arrays hold.
#[derive(PartialEq, Debug)]
struct Arrays {
    services: Vec<Option<ServiceEntry>>,
    slots: Vec<Option<BackendRef>>,
    backends: Vec<Option<BackendEntry>>,
    names: Vec<Option<String>>,
    node: NodeEntry,
}

fn arrays(maps: &impl MapReader) -> Arrays {
    let capacities = maps.capacities();
    Arrays {
        services: (0..capacities.services).map(|i| maps.service(i)).collect(),
        slots: (0..capacities.slots).map(|i| maps.slot(i)).collect(),
        backends: (0..capacities.backends).map(|i| maps.backend(i)).collect(),
        names: (0..capacities.name_cells).map(|i| maps.name(i)).collect(),
        node: maps.node(),
    }
}

#[test]
fn prefixes_are_written_replaced_removed_and_read_back() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&lab.options()).expect("open");
    let maps = kernel.maps_mut();
    let v4 = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().into();
    let range = PrefixKey::Source(SourceRangeKey::new(7, v4("10.0.0.0"), 96 + 8));
    let pods = PrefixKey::Network(NetworkKey { prefix_len: 96 + 16, address: v4("10.244.0.0") });
    let node = PrefixKey::Network(NetworkKey { prefix_len: 128, address: v4("10.244.0.1") });
    let entries = [
        (range, SourceRule::Range as u32),
        (pods, Network::Pods as u32),
        (node, Network::Services as u32),
        (node, Network::Node as u32),
    ];
    let ((), calls) = cost(|| maps.put_prefixes(&entries).expect("put"));
    assert_eq!(calls, 4, "one call each");
    let mut read = maps.prefixes().expect("read");
    read.sort_unstable();
    assert_eq!(read, [entries[0], entries[1], entries[3]]);
    maps.delete_prefixes(&[range, node, node]).expect("what is gone already counts as removed");
    assert_eq!(maps.prefixes().expect("read"), [entries[1]]);
}

fn sorted_frontends(maps: &impl MapReader) -> Vec<FrontendKey> {
    let mut keys: Vec<_> = maps.frontends().expect("frontends").into_iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn stores_cost_no_system_call_and_read_back_as_from_memory() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    let mut memory = MemoryMaps::new(&small());
    assert_eq!(kernel.maps().capacities(), small());
    let ((), cost) = cost(|| {
        for store in every_store() {
            kernel.maps_mut().store(&store);
            memory.store(&store);
            assert_eq!(arrays(kernel.maps()), arrays(&memory), "{store:?}");
        }
    });
    assert_eq!(cost, 0);
    assert_eq!(kernel.maps().name(0).as_deref(), Some("default/web:http"));
    assert_eq!(kernel.maps().name(100), None);
    assert_eq!(kernel.maps().service(64), None, "outside of the map");

    // What the mapping shows is what the kernel holds.
    let maps = lab.pin_path().join("v4/maps");
    let services = MapFd::open(&maps.join("SERVICES"), Access::Read).unwrap();
    let entry = services.lookup(&9_u32.to_ne_bytes()).unwrap();
    assert_eq!(entry, kernel.maps().service(9).unwrap().as_bytes());
    let backends = MapFd::open(&maps.join("BACKENDS"), Access::Read).unwrap();
    let entry = BackendEntry { flags: BackendFlags::LIVE, generation: 2, ..backend("fd00::5", 8081, 9) };
    assert_eq!(backends.lookup(&511_u32.to_ne_bytes()).unwrap(), entry.as_bytes());

    // A reader beside the agent sees it too, and cannot write.
    let reader = Kernel::read_only(&lab.pin_path()).unwrap();
    assert_eq!(arrays(&reader), arrays(&memory));
    let value = entry.as_bytes();
    assert_eq!(backends.update(&1_u32.to_ne_bytes(), value).unwrap_err().raw_os_error(), Some(libc::EPERM));
}

#[test]
fn ten_thousand_frontends_take_a_handful_of_calls() {
    let Some(lab) = Lab::new() else { return };
    let capacities = Capacities { frontends: 10_000, ..small() };
    let mut kernel = Kernel::open(&Options { capacities, ..lab.options() }).unwrap();
    let entries: Vec<_> = (0..10_000_u32)
        .map(|i| (frontend(&format!("10.{}.{}.1", i / 250, i % 250), 80, TCP), cluster_ip(i)))
        .collect();
    let (put, calls) = cost(|| kernel.maps_mut().put_frontends(&entries));
    put.unwrap();
    assert_eq!(calls, 3, "chunks of 4096");

    let (found, calls) = cost(|| kernel.maps().frontends().unwrap());
    assert!(calls <= 6, "{calls}");
    let mut found: Vec<_> = found.into_iter().map(|(key, value)| (key, value.service)).collect();
    found.sort_unstable();
    let mut wanted: Vec<_> = entries.iter().map(|(key, value)| (*key, value.service)).collect();
    wanted.sort_unstable();
    assert_eq!(found, wanted);

    // One entry is one call, and replaces.
    let (put, calls) = cost(|| kernel.maps_mut().put_frontends(&[(entries[7].0, cluster_ip(42))]));
    put.unwrap();
    assert_eq!(calls, 1);
    let frontends = kernel.maps().frontends().unwrap();
    assert!(frontends.contains(&(entries[7].0, cluster_ip(42))) && frontends.len() == 10_000);

    let keys: Vec<_> = entries.iter().map(|(key, _)| *key).collect();
    let (deleted, calls) = cost(|| kernel.maps_mut().delete_frontends(&keys));
    deleted.unwrap();
    assert_eq!(calls, 3);
    assert_eq!(kernel.maps().frontends().unwrap(), []);
}

#[test]
fn absent_frontends_count_as_removed() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    let v4: Vec<_> = (0..9).map(|i| frontend(&format!("10.96.0.{i}"), 53, UDP)).collect();
    let v6: Vec<_> = (0..9).map(|i| frontend(&format!("fd00::{i}"), 53, UDP)).collect();
    let there: Vec<_> =
        [&v4[1..3], &v4[4..8], &v6[8..]].concat().iter().map(|key| (*key, cluster_ip(1))).collect();
    let stays = frontend("10.96.1.1", 80, TCP);
    kernel.maps_mut().put_frontends(&there).unwrap();
    kernel.maps_mut().put_frontends(&[(stays, cluster_ip(2))]).unwrap();
    // Absent: the first, one in the middle, the last of its family, and a family with one alone.
    kernel.maps_mut().delete_frontends(&v4).unwrap();
    assert_eq!(sorted_frontends(kernel.maps()), [stays, v6[8]]);
    kernel.maps_mut().delete_frontends(&[v4[0], v6[0], v6[8], v4[1]]).unwrap();
    assert_eq!(sorted_frontends(kernel.maps()), [stays]);
    kernel.maps_mut().delete_frontends(&[]).unwrap();
    kernel.maps_mut().put_frontends(&[]).unwrap();
}

#[test]
fn a_full_map_says_exactly_what_was_done() {
    let Some(lab) = Lab::new() else { return };
    let capacities = Capacities { frontends: 100, ..small() };
    let mut kernel = Kernel::open(&Options { capacities, ..lab.options() }).unwrap();
    let v4 = |i: u32| (frontend(&format!("10.96.{i}.1"), 80, TCP), cluster_ip(i));
    let v6 = |i: u32| (frontend(&format!("fd00::{i}"), 80, TCP), cluster_ip(i));
    let entries: Vec<_> = (0..60).map(v4).chain((0..20).map(v6)).chain((60..120).map(v4)).collect();

    let error = kernel.maps_mut().put_frontends(&entries).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!((error.map, error.call, error.done), ("FRONTENDS4", "BPF_MAP_UPDATE_BATCH", 120));
    let mut wanted: Vec<_> = entries[..120].iter().map(|(key, _)| *key).collect();
    wanted.sort_unstable();
    assert_eq!(sorted_frontends(kernel.maps()), wanted);

    // A single entry that does not fit, and one that is there already.
    let error = kernel.maps_mut().put_frontends(&[v6(7), v4(200)]).unwrap_err();
    assert_eq!((error.is_full(), error.call, error.done), (true, "BPF_MAP_UPDATE_ELEM", 1));
    kernel.maps_mut().put_frontends(&[v4(0), v4(99)]).unwrap();
    kernel.maps_mut().delete_frontends(&[v4(0).0]).unwrap();
    kernel.maps_mut().put_frontends(&[v4(200)]).unwrap();
}

#[test]
fn a_grace_period_is_one_call_that_waits() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    let time = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..10).for_each(|_| work());
        start.elapsed()
    };
    let entry = [(frontend("10.96.0.1", 80, TCP), cluster_ip(1))];
    let update = time(&mut || kernel.maps_mut().put_frontends(&entry).unwrap());
    let (wait, calls) = cost(|| time(&mut || kernel.maps_mut().grace_period().unwrap()));
    println!("10 updates took {update:?}, 10 grace periods {wait:?}");
    assert_eq!(calls, 10);
    // Even an expedited grace period (rcupdate.rcu_expedited) interrupts every CPU.
    assert!(wait > update);
}

#[test]
fn every_map_reports_its_memory() {
    let Some(lab) = Lab::new() else { return };
    let kernel = lab.open();
    let memory = kernel.maps().memory().unwrap();
    assert_eq!(memory.iter().map(|(name, _)| *name).collect::<Vec<_>>(), MAPS);
    for (name, bytes) in memory {
        // An empty trie takes nothing.
        let least = if ["SOURCE_RANGES", "NETWORKS"].contains(&name) { 0 } else { 96 };
        assert!((least..10_000_000).contains(&bytes), "{name} {bytes}");
    }
    assert_eq!(kernel.maps().counters().unwrap().iter().sum::<u64>(), 0);
}

#[test]
fn reopening_adopts_contents_and_replaces_programs_in_place() {
    let Some(lab) = Lab::new() else { return };
    let key = frontend("10.96.0.1", 80, TCP);
    let mut first = lab.open();
    assert_eq!(first.attached().unwrap(), [], "nothing is attached by opening");
    let count = PROGRAMS.len();
    assert_eq!(first.attach().unwrap(), Attached { created: count, ..Attached::default() });
    assert_eq!(first.attach().unwrap(), Attached { unchanged: count, ..Attached::default() });
    every_store().iter().for_each(|store| first.maps_mut().store(store));
    first.maps_mut().put_frontends(&[(key, cluster_ip(9))]).unwrap();
    let held = arrays(first.maps());
    let before = first.attached().unwrap();
    assert!(before.len() == count && before.iter().all(|program| program.effective), "{before:?}");
    drop(first);

    // Without an agent everything stays, and can be read.
    let reader = Kernel::read_only(&lab.pin_path()).unwrap();
    assert_eq!(reader.attached(&shunt::kernel::Cgroup::open(lab.cgroup()).unwrap()).unwrap(), before);

    // The next agent wants other sizes, but takes what is there.
    let capacities = Capacities { services: 1_000, ..small() };
    let mut second = Kernel::open(&Options { capacities, ..lab.options() }).unwrap();
    assert_eq!(second.maps().capacities(), small());
    assert_eq!(arrays(second.maps()), held);
    assert_eq!(second.maps().frontends().unwrap(), [(key, cluster_ip(9))]);
    assert_eq!(second.attached().unwrap(), before, "the old programs serve until the new are attached");

    assert_eq!(second.attach().unwrap(), Attached { replaced: count, ..Attached::default() });
    let after = second.attached().unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.program, before.link_id), (after.program, after.link_id));
        assert!(before.program_id != after.program_id && after.effective, "{after:?}");
    }
}
