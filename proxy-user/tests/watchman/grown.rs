//! The watchman beside transitions to larger maps.

use crate::kernel_lab::{Lab, small};
use crate::{assert_quiet, faults, links, maps, run};
use proxy_common::abi::{ABI_VERSION, DeviceEntry};
use shunt::kernel::watchman::{Fault, Round};
use shunt::kernel::{Kernel, KernelError, MAPS, Options, Programs, Step};
use shunt::lab::Namespace;
use shunt::writer::{Capacities, MapReader as _};
use std::collections::BTreeMap;
use std::fs;

const INJECTED: KernelError = KernelError::Object { object: "a test's error" };

fn wanted() -> Capacities {
    Capacities { backends: 2_048, sockets: 4_096, flows: 4_096, ..small() }
}

fn instances(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.pin_path().join(format!("v{ABI_VERSION}"))).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "links").collect()
}

#[test]
fn it_watches_over_the_new_maps_and_programs_and_lets_go_of_the_old() {
    let Some(lab) = Lab::new() else { return };
    let node = Namespace::new("node").expect("a namespace");
    let peer = Namespace::new("peer").expect("a namespace");
    node.connect("eth0", &peer, "eth0").expect("a device");
    let device = node.device_index("eth0").expect("an index");
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    let (mut maps_of, mut programs) = kernel.split();
    let watch =
        |programs: &mut Programs| -> Round { programs.watch(&[(device, DeviceEntry::default())].into()) };
    node.run(|| {
        programs.packets().attach(device, &DeviceEntry::default()).unwrap();
        assert_quiet(&watch(&mut programs));
        programs.grow(&mut maps_of, &wanted()).unwrap();
        assert_eq!(instances(&lab), ["maps_2"]);
        assert_quiet(&watch(&mut programs));
        // What is pinned again, attached again and put back is of the new ones.
        fs::remove_dir_all(maps(&lab).with_file_name("maps_2")).unwrap();
        run("bpftool", &["link", "detach", "pinned", links(&lab).join("connect4").to_str().unwrap()]);
        let round = watch(&mut programs);
        assert_eq!(round.restored.len(), MAPS.len() + 1, "{round:#?}");
        assert!(round.found.is_empty() && faults(&round.restored).contains(&("connect4", Fault::Detached)));
        assert_quiet(&watch(&mut programs));
        assert_eq!(instances(&lab), ["maps_2"]);
        programs.packets().detach(device).unwrap();
    })
    .expect("a namespace");
    drop((maps_of, programs));
    let kernel = lab.open();
    assert_eq!(kernel.maps().capacities(), wanted());
}

#[test]
fn a_transition_that_has_stopped_is_no_fault_and_goes_on() {
    for last in Step::ALL {
        let Some(lab) = Lab::new() else { return };
        let mut kernel = lab.open();
        kernel.attach().unwrap();
        let (mut maps, mut programs) = kernel.split();
        assert_quiet(&programs.watch(&BTreeMap::new()));
        let mut after = |step| if step == last { Err(INJECTED) } else { Ok(()) };
        let _ = programs.grow_watched(&mut maps, &wanted(), &mut after);
        assert_quiet(&programs.watch(&BTreeMap::new()));
        assert_eq!(instances(&lab).len(), 1, "{last:?}");
        assert_quiet(&programs.watch(&BTreeMap::new()));
        assert!(programs.attached().unwrap().iter().all(|program| program.effective), "{last:?}");
    }
}

#[test]
fn a_transition_that_has_stopped_goes_on_when_its_cgroup_was_made_again() {
    let Some(lab) = Lab::new() else { return };
    let child = lab.cgroup().join("pods");
    fs::create_dir(&child).unwrap();
    let options = Options { cgroup: child.clone(), ..lab.options() };
    let mut kernel = Kernel::open(&options).unwrap();
    kernel.attach().unwrap();
    let (mut maps, mut programs) = kernel.split();
    let mut after = |step| if step == Step::Committed { Err(INJECTED) } else { Ok(()) };
    programs.grow_watched(&mut maps, &wanted(), &mut after).unwrap_err();
    fs::remove_dir(&child).unwrap();
    let round = programs.watch(&BTreeMap::new());
    assert!(faults(&round.found).contains(&("cgroup", Fault::Missing)), "{round:#?}");
    fs::create_dir(&child).unwrap();
    let round = programs.watch(&BTreeMap::new());
    assert!(round.found.is_empty(), "{round:#?}");
    assert_eq!(instances(&lab), ["maps_2"]);
    assert_quiet(&programs.watch(&BTreeMap::new()));
    assert!(programs.attached().unwrap().iter().all(|program| program.effective));
    drop((maps, programs));
    fs::remove_dir(&child).unwrap();
}
