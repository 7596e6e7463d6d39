//! A node without fault.

use crate::{command::skipped, scene::Scene};

const CHECKS: [&str; 9] =
    ["kernel", "pins", "agent", "sockets", "devices", "maps", "tables", "others", "sysctls"];

#[test]
fn a_healthy_node_is_balancing_with_every_check_shown() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let _agent = scene.start();
    let page = scene.doctor(&[]);
    eprintln!("{}{}", page.out, page.err);
    let said = scene.diagnosis(&[]);
    assert_eq!((said.code, said.found()), (0, vec![]), "{:#}", said.json);
    for check in CHECKS {
        said.facts(check);
        assert!(page.out.contains(&format!("ok        {check:9}  ")), "{}", page.out);
    }
    let dials = said.facts("self-test")["dials"].as_array().unwrap();
    assert!(dials.len() >= 2 && dials.iter().all(|dial| dial["error"].is_null()), "{dials:?}");
    assert_eq!(said.facts("agent")["healthz"]["code"], 200);
}
