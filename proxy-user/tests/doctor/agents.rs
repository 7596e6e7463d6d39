//! Agents that are not there, or do nothing.

use crate::{
    command::{shunt, signal, skipped, wait_until},
    scene::{OPEN, Scene},
};
use rustix::process::Signal;
use std::fs;

#[test]
fn no_agent() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    drop(scene.start());
    let said = scene.diagnosis(&[]);
    said.has("no-agent", "nobody holds the pin path; the last one was at work", "delete pod POD");
    assert_eq!((said.code, said.found()), (1, vec!["no-agent"]));
    assert_eq!(said.facts("agent")["running"], false);
    assert!(said.facts("agent")["last_change_seconds"].is_u64());
    assert!(said.facts("self-test")["dials"][0]["error"].is_null(), "what is pinned serves");
}

#[test]
fn an_agent_that_is_stopped() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let mut agent = scene.start();
    let pid = agent.id();
    signal(pid, Signal::STOP);
    wait_until("it is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    });
    let said = scene.diagnosis(&[]);
    said.has("agent-stopped", &format!("process {pid}, is stopped"), &format!("kill -CONT {pid}"));
    said.has("agent-stopped", "its last change was", "start it again");
    // That it does not answer is no news then; how long it was waited for is said.
    assert_eq!((said.code, said.found()), (1, vec!["agent-stopped"]));
    let page = scene.doctor(&[]).out;
    assert!(page.contains("/healthz: no answer within 2 s"), "{page}");
    signal(pid, Signal::CONT);
    assert_eq!(scene.diagnosis(&[]).code, 0);
}

/// Nobody answers at the API server's address.
#[test]
fn an_agent_that_never_got_its_first_list() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let kubeconfig = scene.site.directory.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], \
                clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {}}]}";
    fs::write(&kubeconfig, text).unwrap();
    let start = || {
        let mut command = scene.follow(&kubeconfig);
        command.args(["--startup-spread", "0s"]).args(OPEN);
        let mut agent = scene.site.begin_command(command);
        agent.wait_for("begun: ");
        agent
    };
    let agent = start();
    let severity = || scene.diagnosis(&[]).severity("first-list-missing");
    assert_eq!(severity().as_deref(), Some("notice"), "for some seconds that is no fault");
    wait_until("that is a fault", || severity().as_deref() == Some("critical"));
    let said = scene.diagnosis(&[]);
    said.has("first-list-missing", "has not got its first complete list", "API server");
    // Devices are attached to once it is known what is to be served.
    assert_eq!((said.code, said.found()), (2, vec!["first-list-missing", "device-without-programs"]));
    drop(agent);

    // What a former agent has left serves meanwhile.
    drop(scene.start());
    let _agent = start();
    wait_until("that is a fault", || severity().as_deref() == Some("degraded"));
    assert_eq!(scene.diagnosis(&[]).code, 1);
}

/// An empty word, and relative paths on the command line and in the file: the agent's, not the doctor's.
#[test]
fn the_agents_options_are_read_as_it_was_given_them() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let directory = scene.site.directory.path();
    let manifests = scene.site.manifests();
    let name = manifests.strip_prefix(directory).unwrap().to_str().unwrap();
    let config = directory.join("agent.yaml");
    let text = |more: &str| {
        let cgroup = scene.site.cgroup.path().display();
        format!("manifests: [{name}]\ncgroup: {cgroup}\ninterfaces: up*\n{more}")
    };
    fs::write(&config, text("")).unwrap();
    let mut command = shunt(&["run", "--config", "agent.yaml", "--pin-path", &scene.site.pins()]);
    command.args(["--metrics-address", "", "--healthz-address", "127.0.0.1:10256"]);
    command.env("NODE_NAME", "lab-node").current_dir(directory);
    scene.node.enter_command(&mut command);
    let mut agent = scene.site.begin_command(command);
    agent.wait_for("ready: ");
    let said = scene.diagnosis(&[]);
    assert_eq!((said.code, said.found()), (0, vec![]), "{:#}", said.json);
    assert!(said.facts("services")["from"].as_str().unwrap().contains(name), "{:#}", said.facts("services"));
    assert_eq!(said.facts("sockets")["cgroup"], scene.site.cgroup.path().to_str().unwrap());
    assert_eq!(said.facts("devices")["wanted"][0], "up0");

    // A file that has become wrong says nothing of the agent: nothing is judged by defaults.
    fs::write(&config, text("no-such-word: 1\n")).unwrap();
    let said = scene.diagnosis(&[]);
    said.has("agent-options", "agent.yaml:4", "mend what is named");
    assert_eq!((said.code, said.found()), (1, vec!["agent-options"]), "{:#}", said.json["findings"]);
    assert_eq!(said.json["verdict"], "unknown");
    assert_eq!(said.facts("sockets")["cgroup"], scene.site.cgroup.path().to_str().unwrap());
}
