//! Maps that are full, or that somebody else has written to; and how they are mended.

use crate::{
    command::skipped,
    scene::{Diagnosis, OPEN, Scene},
};
use proxy_common::abi::Scope;
use proxy_common::abi::{Address, BackendEntry, TCP};
use serde_json::Value;
use shunt::{
    kernel::sys::{Access, MapFd},
    writer::FrontendKey,
};
use std::net::Ipv4Addr;
use zerocopy::{FromBytes as _, IntoBytes as _};

/// Takes the frontend 10.96.0.10:80 away.
fn delete_frontend(scene: &Scene) {
    let key = FrontendKey::new(Ipv4Addr::new(10, 96, 0, 10).into(), 80, TCP, Scope::Exact);
    let FrontendKey::V4(key) = key else { unreachable!() };
    MapFd::open(&scene.map("FRONTENDS4"), Access::ReadWrite).unwrap().delete(key.as_bytes()).unwrap();
}

/// Changes the first backend in use.
fn change_backend(scene: &Scene, change: impl Fn(&mut BackendEntry)) {
    let backends = MapFd::open(&scene.map("BACKENDS"), Access::ReadWrite).unwrap();
    for index in 0..64_u32 {
        let mut entry = BackendEntry::read_from_bytes(&backends.lookup(index.as_bytes()).unwrap()).unwrap();
        if entry.port != 0 {
            change(&mut entry);
            return backends.update(index.as_bytes(), entry.as_bytes()).unwrap();
        }
    }
    panic!("no backend is in use");
}

#[test]
fn a_map_that_is_full() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start_with(&[&OPEN[..], &["--max-services", "4"]].concat());
    let said = scene.diagnosis(&[]);
    said.has("map-full", "SERVICES of 4 entries has no room for", "a larger --max-services than 4");
    said.has("map-full", "is missing", "give the agent");
    assert_eq!((said.code, said.found()), (1, vec!["map-full"]), "{:#}", said.json["findings"]);
    // All of them are counted, however small the map is; and to write it again makes no room.
    let wanted = |said: &Diagnosis| said.facts("services")["wanted"].as_u64().unwrap();
    let (missing, found) = (said.facts("services")["differences"].as_array().unwrap().len(), wanted(&said));
    assert_eq!(missing as u64 + 4, found, "{:#}", said.facts("services"));
    assert!(
        said.facts("services")["differences"].as_array().unwrap().len() > 4,
        "more than a map twice as large holds"
    );
    let repaired = scene.diagnosis(&["--repair"]);
    assert_eq!((repaired.found(), &repaired.facts("repair")["done"]), (vec!["map-full"], &Value::Null));
}

#[test]
fn a_frontend_that_somebody_deleted_is_put_back_by_the_agent() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let mut agent = scene.start();
    delete_frontend(&scene);
    let said = scene.diagnosis(&[]);
    said.has("services-differ", "default/web:http TCP/IPv4", "shunt doctor --repair");
    assert_eq!((said.code, said.found()[0]), (1, "services-differ"), "{:#}", said.json["findings"]);
    let mended = scene.diagnosis(&["--repair"]);
    assert_eq!((mended.code, mended.found()), (0, vec![]), "{:#}", mended.json);
    let done = mended.facts("repair")["done"].as_str().unwrap().to_owned();
    assert!(done.contains(&format!("process {}", agent.id())), "{done}");
    agent.wait_for("somebody else has written to the maps; they are mended");
    assert_eq!(
        (scene.sample("shunt_audits_total"), scene.sample("shunt_audit_writes_total") > 0.0),
        (1.0, true)
    );
    let nothing = scene.diagnosis(&["--repair"]);
    assert!(nothing.facts("repair")["done"].is_null(), "there is nothing to mend");
}

#[test]
fn without_an_agent_the_doctor_writes_the_difference_itself() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    delete_frontend(&scene);
    change_backend(&scene, |entry| entry.address = Address::from(Ipv4Addr::new(192, 0, 2, 66)));
    let own = scene.diagnosis(&["--repair"]);
    assert!(own.found().contains(&"no-agent"), "without manifests nobody knows what is missing");
    let manifests = scene.site.manifests();
    let compare = ["--manifests", manifests.to_str().unwrap(), "--node", "lab-node"];
    let said = scene.diagnosis(&compare);
    said.has("services-differ", "192.0.2.66", "shunt doctor --repair");
    let mended = scene.diagnosis(&[&compare[..], &["--repair"]].concat());
    assert_eq!((mended.code, mended.found()), (1, vec!["no-agent"]), "{:#}", mended.json);
    assert!(mended.facts("repair")["done"].as_str().unwrap().contains("no agent runs"));
    assert_eq!(scene.diagnosis(&compare).found(), ["no-agent"]);
}

#[test]
fn without_an_agent_maps_grow_and_what_finds_no_room_is_said() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let few = ["--max-services", "8"];
    drop(scene.start_with(&[&OPEN[..], &few].concat()));
    let manifests = scene.site.manifests();
    let repair = ["--manifests", manifests.to_str().unwrap(), "--node", "lab-node", "--repair"];
    let full = scene.diagnosis(&[&repair[..], &few].concat());
    full.has("repair-failed", "find no room in the maps", "start it again");
    assert!(full.found().contains(&"map-full"), "{:#}", full.json["findings"]);
    let grown = scene.diagnosis(&repair);
    assert_eq!(grown.found(), ["no-agent"], "{:#}", grown.json["findings"]);
    assert!(grown.facts("repair")["done"].as_str().unwrap().contains("made true"));
    assert!(grown.facts("self-test")["dials"][0]["error"].is_null(), "the programs have the new maps");
}

#[test]
fn a_backend_that_somebody_overwrote() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    change_backend(&scene, |entry| (entry.generation, entry.service) = (77, 3));
    let said = scene.diagnosis(&[]);
    said.has("set-broken", "which was freed since", "shunt doctor --repair");
    assert_eq!(said.code, 1, "{:#}", said.json["findings"]);
    assert_eq!(scene.diagnosis(&["--repair"]).code, 0);
}
