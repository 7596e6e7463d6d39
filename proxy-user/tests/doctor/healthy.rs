//! A node without fault.

use crate::{
    command::{said, skipped},
    golden, outline,
    scene::Scene,
};
use std::fs;

const CHECKS: [&str; 12] = [
    "kernel",
    "pins",
    "agent",
    "sockets",
    "devices",
    "maps",
    "tables",
    "services",
    "others",
    "sysctls",
    "self-test",
    "",
];

#[test]
fn a_healthy_node_is_balancing_with_every_check_shown() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    let page = scene.doctor(&[]);
    assert_eq!((page.code, page.err.as_str()), (Some(0), ""), "{}", page.out);
    golden::compare("doctor.txt", &outline::page(&page.out));
    let said = scene.diagnosis(&[]);
    assert_eq!((said.code, said.found()), (0, vec![]), "{:#}", said.json);
    let mut checks = said.checks();
    checks.push("");
    assert_eq!(checks, CHECKS);
    golden::compare(
        "doctor.json",
        &(serde_json::to_string_pretty(&outline::shape(&said.json)).unwrap() + "\n"),
    );
    let dials = said.facts("self-test")["dials"].as_array().unwrap();
    assert!(dials.len() == 4 && dials.iter().all(|dial| dial["error"].is_null()), "{dials:?}");
    assert_eq!(said.facts("agent")["healthz"]["code"], 200);
    let without = scene.diagnosis(&["--no-self-test"]);
    assert!(without.code == 0 && !without.checks().contains(&"self-test"));
}

#[test]
fn wrong_usage_is_told_apart() {
    let said_of = |args: &[&str]| said(&[&["doctor"], args].concat());
    for (args, text) in [
        (&["--mend"][..], "--mend"),
        (&["-o", "yaml"], "yaml"),
        (&["--manifests", "/no/such"], "--node"),
        (&["--manifests", "/no/such", "--kubeconfig", "k", "--node", "n"], "--kubeconfig"),
        (&["--config", "/no/such"], "/no/such"),
    ] {
        let said = said_of(args);
        assert_eq!((said.code, said.out.as_str()), (Some(64), ""), "{args:?}");
        assert!(said.err.contains(text), "{}", said.err);
    }
    let help = said_of(&["--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("Exit codes: 0 the node balances"), "{}", help.out);
}

#[test]
fn a_manifest_that_is_not_there_is_wrong_usage_too() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    let said = scene.doctor(&["--manifests", "/no/such", "--node", "n"]);
    assert_eq!((said.code, said.out.as_str()), (Some(64), ""));
    assert!(said.err.contains("/no/such: stat: No such file"), "{}", said.err);
}

/// Without root, what cannot be looked at is said, and nothing is called healthy.
#[test]
fn without_capabilities_it_says_what_it_could_not_look_at() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(scene.site.directory.path(), readable).unwrap();
    let said = scene.as_nobody();
    let ids = ["kernel-features", "pin-path", "lock", "kube-proxy"];
    let found = said.found();
    for id in ids {
        assert!(found.contains(&id), "{id} is not in {found:?}");
    }
    said.has("kernel-features", "refused for lack of CAP_BPF", "sudo shunt doctor");
    let state = |id: &str| said.severity(id).unwrap();
    assert!(ids.iter().all(|id| state(id) == "unknown"), "{:#}", said.json["findings"]);
    assert_eq!((said.code, &said.json["verdict"]), (1, &"unknown".into()), "{:#}", said.json["findings"]);
}
