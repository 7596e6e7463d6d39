//! Maps of another version, older or newer: taken over while connections are made. Here they differ in their version alone;
//! the tests of layout_upgrade/ have other layouts.

use crate::island::Island;
use crate::kernel_lab::Lab;
use crate::steps::{INJECTED, contents, options};
use crate::traffic;
use proxy_common::abi::{ABI_VERSION, Counter};
use shunt::kernel::sys::{Access, MapFd};
use shunt::kernel::{Attached, Kernel, PROGRAMS, Step};
use shunt::writer::MapReader as _;
use std::fs;
use std::path::Path;

/// Makes what is there another version's.
fn become_other(lab: &Lab, version: &str) {
    let path = lab.pin_path();
    fs::rename(path.join(format!("v{ABI_VERSION}")), path.join(version)).unwrap();
}

/// Puts a map in the place of a pinned one that was made without a description of its fields.
pub fn describe_no_more(pin: &Path) {
    let shape = *MapFd::open(pin, Access::Read).unwrap().shape();
    fs::remove_file(pin).unwrap();
    MapFd::create(&shape, None).unwrap().pin(pin).unwrap();
}

fn versions(lab: &Lab) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(lab.pin_path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn no_connection_and_no_flow_notices_an_upgrade_or_a_downgrade() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    let wanted = contents(kernel.maps());
    for version in ["v3", "v12"] {
        let before = kernel.maps().counters().unwrap();
        let (next, counts) = traffic::during(&island.place, &island.targets, || {
            drop(kernel);
            become_other(&lab, version);
            let mut next = Kernel::open(&options(&lab)).unwrap();
            assert_eq!(versions(&lab).len(), 2, "the other one serves until programs are attached");
            next.attach().unwrap();
            next
        });
        kernel = next;
        counts.assert_all_well(20);
        assert_eq!(contents(kernel.maps()), wanted);
        assert_eq!(versions(&lab), ["v4"]);
        let after = kernel.maps().counters().unwrap();
        assert!(after[Counter::ConnectForwarded as usize] > before[Counter::ConnectForwarded as usize]);
        assert_eq!(after[Counter::Inconsistent as usize], 0);
    }
}

#[test]
fn one_that_ends_on_the_way_is_begun_again_or_finished() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    let wanted = contents(kernel.maps());
    for last in Step::ALL {
        let (next, counts) = traffic::during(&island.place, &island.targets, || {
            drop(kernel);
            become_other(&lab, "v3");
            let mut after = |step| if step == last { Err(INJECTED) } else { Ok(()) };
            // Committed is not told: opening succeeds.
            let opened = Kernel::open_watched(&options(&lab), &mut after);
            if let Ok(opened) = opened {
                let (_maps, mut programs) = opened.split();
                let finished = programs.attach_watched(&mut after);
                assert_eq!(finished.is_err(), last != Step::Committed, "{last:?}");
            }
            let mut next = Kernel::open(&options(&lab)).unwrap();
            next.attach().unwrap();
            next
        });
        kernel = next;
        counts.assert_all_well(1);
        assert_eq!(contents(kernel.maps()), wanted, "{last:?}");
        assert_eq!(versions(&lab), ["v4"], "{last:?}");
        let attached = kernel.attached().unwrap();
        assert!(attached.len() == PROGRAMS.len() && attached.iter().all(|program| program.effective));
    }
}

#[test]
fn what_cannot_be_taken_over_serves_until_the_new_maps_are_filled() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    let wanted = contents(kernel.maps());
    let before = kernel.attached().unwrap();
    drop(kernel);
    become_other(&lab, "v3");
    describe_no_more(&lab.pin_path().join("v3/maps/SERVICES"));

    let ((), counts) = traffic::during(&island.place, &island.targets, || {
        // A second agent finds it as the first.
        for _ in 0..2 {
            let mut kernel = Kernel::open(&options(&lab)).unwrap();
            assert_eq!(kernel.attach().unwrap(), Attached::default());
            assert_eq!(kernel.attached().unwrap(), []);
            assert!(kernel.maps().frontends().unwrap().is_empty());
        }
    });
    counts.assert_all_well(1);
    assert_eq!(versions(&lab), ["v3", "v4"]);

    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    island.program(&mut kernel);
    assert_eq!(contents(kernel.maps()), wanted);
    let (maps, mut programs) = kernel.split();
    programs.remove_other_versions().unwrap();
    assert_eq!(versions(&lab), ["v4"]);
    let after = programs.attached().unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert!(after.effective && after.link_id == before.link_id && after.program_id != before.program_id);
    }
    let ((), counts) = traffic::during(&island.place, &island.targets, || ());
    counts.assert_all_well(1);
    drop((maps, programs));
    assert_eq!(lab.open().attach().unwrap(), Attached { replaced: PROGRAMS.len(), ..Attached::default() });
}

#[test]
fn one_that_ends_with_the_links_in_its_hands_keeps_its_own_maps() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    let wanted = contents(kernel.maps());
    drop(kernel);
    become_other(&lab, "v3");
    describe_no_more(&lab.pin_path().join("v3/maps/SERVICES"));
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    island.program(&mut kernel);
    drop(kernel);
    // As an agent leaves it that is killed between adopting the links and updating them.
    for link in fs::read_dir(lab.pin_path().join("v3/links")).unwrap() {
        let link = link.unwrap();
        fs::rename(link.path(), lab.pin_path().join("v4/links").join(link.file_name())).unwrap();
    }
    let id =
        |version| MapFd::open(&lab.pin_path().join(version).join("maps/SLOTS"), Access::Read).unwrap().id();
    let ours = id("v4");
    let kernel = Kernel::open(&options(&lab)).unwrap();
    assert_eq!(versions(&lab), ["v3", "v4"], "nothing was moved aside");
    assert!(id("v4") == ours && ours != id("v3"));
    assert_eq!(contents(kernel.maps()), wanted);
    let (maps, mut programs) = kernel.split();
    programs.remove_other_versions().unwrap();
    assert_eq!(versions(&lab), ["v4"]);
    let ((), counts) = traffic::during(&island.place, &island.targets, || ());
    counts.assert_all_well(1);
    drop((maps, programs));
}

#[test]
fn programs_that_the_kernel_does_not_put_beside_ours_go_on_until_the_new_maps_are_filled() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    drop(kernel);
    become_other(&lab, "v3");
    // A program of another type is refused as one is that was made with another JIT compiler: EINVAL.
    let links = lab.pin_path().join("v3/links");
    for (from, to) in [("connect4", "aside"), ("sock_release", "connect4"), ("aside", "sock_release")] {
        fs::rename(links.join(from), links.join(to)).unwrap();
    }
    for _ in 0..2 {
        let mut kernel = Kernel::open(&options(&lab)).unwrap();
        assert_eq!(kernel.attach().unwrap(), Attached::default());
        assert_eq!(versions(&lab), ["v3", "v4"]);
    }
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    island.program(&mut kernel);
    let (_maps, mut programs) = kernel.split();
    programs.remove_other_versions().unwrap();
    assert_eq!(versions(&lab), ["v4"]);
    let ((), counts) = traffic::during(&island.place, &island.targets, || ());
    counts.assert_all_well(1);
}
