//! Pins that are gone, or another version's.

use crate::{
    command::{signal, skipped, wait_until},
    scene::Scene,
};
use rustix::{
    mount::{UnmountFlags, unmount},
    process::Signal,
};
use shunt::kernel::sys::LinkFd;
use std::fs;

#[test]
fn pins_that_somebody_removed() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    fs::remove_dir_all(scene.site.pins()).unwrap();
    let said = scene.diagnosis(&[]);
    said.has("programs-missing", "no link of it is pinned", "start the agent");
    said.has("not-pinned", "FRONTENDS4", "start the agent, which pins what is missing");
    said.has("no-agent", "there is no pin path", "delete pod POD");
    assert_eq!((said.code, said.found()), (2, vec!["programs-missing", "not-pinned", "no-agent"]));
}

/// The watchman holds links, so their programs run on; one that is stopped cannot pin them again.
#[test]
fn links_that_an_agent_holds_and_that_are_not_pinned_any_more() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let mut agent = scene.start();
    signal(agent.id(), Signal::STOP);
    fs::remove_file(scene.link("connect4")).unwrap();
    let said = scene.diagnosis(&[]);
    said.has(
        "links-not-pinned",
        "links of connect4 are not pinned",
        "an agent that runs pins them within seconds",
    );
    assert_eq!(
        (said.code, said.found().contains(&"programs-missing")),
        (1, false),
        "{:#}",
        said.json["findings"]
    );
    assert!(said.facts("self-test")["dials"][0]["error"].is_null(), "its program runs");
    signal(agent.id(), Signal::CONT);
    wait_until("the watchman has pinned it again", || scene.link("connect4").exists());
    wait_until("all is well", || scene.diagnosis(&[]).code == 0);
}

#[test]
fn a_bpffs_that_is_not_mounted() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    unmount(scene.site.bpffs.path(), UnmountFlags::DETACH).unwrap();
    let said = scene.diagnosis(&[]);
    let mount = format!("mount -t bpf bpf {}", scene.site.bpffs.path().display());
    said.has("no-bpffs", &scene.site.pins(), &mount);
    assert_eq!((said.code, said.found()[0]), (2, "no-bpffs"));
}

/// Its descriptors hold the programs: to start it again would end them.
#[test]
fn a_bpffs_that_is_unmounted_while_the_agent_runs() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let mut agent = scene.start();
    unmount(scene.site.bpffs.path(), UnmountFlags::DETACH).unwrap();
    let said = scene.diagnosis(&[]);
    let what = format!("11 programs are in effect and are held by process {} alone", agent.id());
    said.has("no-bpffs", &what, "Do NOT end or restart it before");
    said.has("no-bpffs", &what, &format!("mount -t bpf bpf {}", scene.site.bpffs.path().display()));
    assert_eq!((said.code, said.found()), (1, vec!["no-bpffs"]), "{:#}", said.json["findings"]);
    assert_eq!(said.facts("agent")["pid"], agent.id());
}

#[test]
fn what_another_map_layout_has_left() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    let other = scene.site.bpffs.path().join("shunt/v2/links");
    fs::create_dir_all(&other).unwrap();
    LinkFd::open(&scene.link("connect4")).unwrap().pin(&other.join("connect4")).unwrap();
    let said = scene.diagnosis(&[]);
    said.has("other-layout", "/shunt/v2 is of another map layout", "takes it over and removes it");
    assert_eq!((said.code, said.found()), (1, vec!["other-layout"]));
    fs::remove_dir_all(scene.site.bpffs.path().join("shunt/v2")).unwrap();
    assert_eq!(scene.diagnosis(&[]).code, 0);
}
