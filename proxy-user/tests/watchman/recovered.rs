//! Agents that start and find pins missing or wrong, while programs of the former agent serve.

use crate::clients::{among_clients, program};
use crate::kernel_lab::{Lab, small};
use crate::{assert_quiet, links, maps, watch};
use aya_obj::generated::bpf_attach_type::BPF_CGROUP_INET4_POST_BIND;
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK;
use proxy_common::abi::{ABI_VERSION, DeviceEntry};
use shunt::kernel::sys::{Access, ForeignProgram, MapFd};
use shunt::kernel::{Kernel, MAPS, MapShape, Options, PROGRAMS};
use shunt::lab::Namespace;
use shunt::writer::MapReader as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn id(pin: &Path) -> u32 {
    MapFd::open(pin, Access::Read).unwrap().id()
}

fn ids(lab: &Lab) -> BTreeMap<&'static str, u32> {
    MAPS.into_iter().map(|name| (name, id(&maps(lab).join(name)))).collect()
}

fn array(entries: u32) -> aya::maps::Array<aya::maps::MapData, [u8; 4096]> {
    aya::maps::Array::create(entries, 0).unwrap()
}

/// What was pinned in our place is still there, under these names.
#[track_caller]
fn assert_aside(lab: &Lab, names: &[&str]) {
    let directory = lab.pin_path().join("foreign");
    let entries = fs::read_dir(&directory).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let mut found: Vec<_> =
        entries.into_iter().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let wanted: Vec<_> = names.iter().map(|name| format!("v{ABI_VERSION}-{name}")).collect();
    assert_eq!(found, wanted);
    if !names.is_empty() {
        fs::remove_dir_all(directory).unwrap();
    }
}

/// Maps that programs of a connection use. Those that only processes or programs on devices use are gone with their last pin.
const SERVING: [&str; 8] =
    ["FRONTENDS4", "FRONTENDS6", "SERVICES", "SLOTS", "BACKENDS", "REVERSE", "AFFINITY", "COUNTERS"];

/// Runs an agent, has it end, does `damage` to its pins, and starts the next one while clients dial. The maps are those that
/// serve.
fn damaged(damage: impl Fn(&Lab) + Sync, aside: &[&str]) {
    let Some(lab) = Lab::new() else { return };
    among_clients(&lab, |to, tally| {
        let mut kernel = lab.open();
        kernel.attach().unwrap();
        program(&mut kernel, to);
        let before = ids(&lab);
        tally.begin();
        drop(kernel);
        damage(&lab);
        tally.some_more();
        let mut kernel = lab.open();
        tally.some_more();
        kernel.attach().unwrap();
        tally.some_more();
        assert_quiet(&watch(&mut kernel));
        let after = ids(&lab);
        for name in SERVING {
            assert_eq!(after[name], before[name], "{name}");
        }
        assert_eq!(fs::read_dir(links(&lab)).unwrap().count(), PROGRAMS.len());
    });
    assert_aside(&lab, aside);
}

#[test]
fn maps_whose_pins_are_gone_are_found_by_the_programs_that_serve() {
    damaged(|lab| fs::remove_dir_all(maps(lab)).unwrap(), &[]);
}

#[test]
fn one_link_is_enough_to_find_them() {
    let damage = |lab: &Lab| {
        fs::remove_file(maps(lab).join("SERVICES")).unwrap();
        fs::remove_file(maps(lab).join("FRONTENDS4")).unwrap();
        for (name, _) in PROGRAMS {
            if !["connect4", "getpeername4"].contains(&name) {
                fs::remove_file(links(lab).join(name)).unwrap();
            }
        }
    };
    damaged(damage, &[]);
}

#[test]
fn foreign_and_truncated_pins_are_moved_aside_and_the_maps_that_serve_found() {
    let damage = |lab: &Lab| {
        let pin = |name: &str| maps(lab).join(name);
        // A map of another shape, one that is too small, a directory, another map of ours, and a way to nowhere.
        for name in ["BACKENDS", "SLOTS", "SERVICES", "NODE", "NAMES"] {
            fs::remove_file(pin(name)).unwrap();
        }
        array(4).pin(pin("BACKENDS")).unwrap();
        let shape = MapShape { max_entries: 8, ..*MapFd::open(&pin("TRACE"), Access::Read).unwrap().shape() };
        MapFd::create(&MapShape { value_size: 8, ..shape }, None).unwrap().pin(&pin("SLOTS")).unwrap();
        fs::create_dir(pin("SERVICES")).unwrap();
        fs::rename(pin("TRACE"), pin("NODE")).unwrap();
        std::os::unix::fs::symlink("/does/not/exist", pin("NAMES")).unwrap();
    };
    let aside = ["maps-BACKENDS", "maps-NAMES", "maps-NODE", "maps-SERVICES", "maps-SLOTS"];
    damaged(damage, &aside);
}

#[test]
fn what_is_pinned_in_a_links_place_and_is_none_is_moved_aside() {
    let damage = |lab: &Lab| {
        let pin = |name: &str| links(lab).join(name);
        fs::remove_file(pin("recvmsg4")).unwrap();
        array(4).pin(pin("recvmsg4")).unwrap();
        // A program is no link.
        fs::remove_file(pin("post_bind4")).unwrap();
        let (kind, at) = (BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND);
        ForeignProgram::load("other", kind, at, 1).unwrap().pin(&pin("post_bind4")).unwrap();
        fs::create_dir(pin("ingress-77")).unwrap();
    };
    damaged(damage, &["links-ingress-77", "links-post_bind4", "links-recvmsg4"]);
}

#[test]
fn filters_tell_the_maps_where_no_pin_is_left() {
    let Some(lab) = Lab::new() else { return };
    let [node, peer] = ["node", "peer"].map(|label| Namespace::new(label).expect("a namespace"));
    node.connect("eth0", &peer, "eth0").expect("a device");
    let device = node.device_index("eth0").expect("an index");
    let options = Options { clsact: true, capacities: small(), ..lab.options() };
    node.run(|| {
        let mut kernel = Kernel::open(&options).unwrap();
        kernel.packets().attach(device, &DeviceEntry::default()).unwrap();
        let before = ids(&lab);
        drop(kernel);
        fs::remove_dir_all(lab.pin_path()).unwrap();
        let mut kernel = Kernel::open(&options).unwrap();
        // Those that the filters' programs use themselves: without a pin the kernel has emptied STAGES.
        let after = ids(&lab);
        for name in ["FLOWS", "DEVICES", "STAGES"] {
            assert_eq!(after[name], before[name], "{name}");
        }
        assert!(kernel.packets().attached().unwrap()[0].is_effective());
        kernel.packets().detach(device).unwrap();
    })
    .expect("a namespace");
}

#[test]
fn a_foreign_map_where_nothing_serves_is_moved_aside_and_its_own_made() {
    let Some(lab) = Lab::new() else { return };
    drop(lab.open());
    let pin = maps(&lab).join("BACKENDS");
    fs::remove_file(&pin).unwrap();
    array(4).pin(&pin).unwrap();
    let kernel = lab.open();
    assert_eq!(kernel.maps().capacities().backends, small().backends);
    drop(kernel);
    assert_aside(&lab, &["maps-BACKENDS"]);
}

#[test]
fn another_shunts_maps_are_not_taken_for_ones_own() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    let options = Options { pin_path: lab.bpffs.path().join("other"), ..lab.options() };
    let mut other = Kernel::open(&options).unwrap();
    other.attach().unwrap();
    let theirs = options.pin_path.join(format!("v{ABI_VERSION}/maps"));
    assert!(MAPS.into_iter().all(|name| id(&maps(&lab).join(name)) != id(&theirs.join(name))));
    drop(other);
    shunt::kernel::remove(&options.pin_path).unwrap();
}
