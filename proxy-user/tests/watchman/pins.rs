//! Pins that are removed by hand or go with their file system while an agent holds what was pinned.

use crate::clients::meanwhile;
use crate::kernel_lab::{Lab, small};
use crate::{assert_quiet, faults, links, maps, run, watch};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use shunt::kernel::sys::{LinkFd, MapFd};
use shunt::kernel::watchman::{Fault, Round};
use shunt::kernel::{Attached, Kernel, KernelError, MAPS, Options, PROGRAMS};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Every pin was gone.
#[track_caller]
fn assert_all_pinned_again(lab: &Lab, round: &Round) {
    let unpinned = round.restored.iter().filter(|finding| finding.fault == Fault::Unpinned).count();
    assert_eq!(unpinned, MAPS.len() + PROGRAMS.len(), "{round:#?}");
    assert!(round.found.is_empty() && round.lost.is_none(), "{round:#?}");
    assert_eq!(fs::read_dir(maps(lab)).unwrap().count(), MAPS.len());
    assert_eq!(fs::read_dir(links(lab)).unwrap().count(), PROGRAMS.len());
}

/// The next agent adopts all of it: it makes neither links nor maps.
#[track_caller]
fn assert_adopted(lab: &Lab, kernel: Kernel) {
    let links = |kernel: &Kernel| -> Vec<_> {
        kernel.attached().unwrap().iter().map(|attachment| (attachment.program, attachment.link_id)).collect()
    };
    let before = links(&kernel);
    drop(kernel);
    let mut kernel = lab.open();
    assert_eq!(kernel.attach().unwrap(), Attached { replaced: PROGRAMS.len(), ..Attached::default() });
    assert_eq!(links(&kernel), before);
}

fn mount_bpffs(path: &Path) {
    mount("bpf", path, "bpf", MountFlags::NOSUID, Some(c"mode=0700")).unwrap();
}

#[test]
fn pins_that_were_removed_by_hand_are_made_again_and_no_connection_fails() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    meanwhile(&lab, &mut kernel, |kernel, tally| {
        fs::remove_file(links(&lab).join("connect4")).unwrap();
        fs::remove_file(maps(&lab).join("BACKENDS")).unwrap();
        tally.some_more();
        let round = watch(kernel);
        assert_eq!(
            faults(&round.restored),
            [("BACKENDS", Fault::Unpinned), ("connect4", Fault::Unpinned)].into()
        );
        assert_quiet(&watch(kernel));
        // All of it, directories too.
        fs::remove_dir_all(lab.pin_path()).unwrap();
        tally.some_more();
        let round = watch(kernel);
        assert_all_pinned_again(&lab, &round);
        assert!(faults(&round.restored).contains(&("pins", Fault::Unmounted)), "the lock was taken anew");
        assert_quiet(&watch(kernel));
    });
    let second = Kernel::open(&lab.options()).map(drop).unwrap_err();
    assert!(matches!(second, KernelError::Locked { .. }), "{second}");
    assert_adopted(&lab, kernel);
}

#[test]
fn what_somebody_pins_in_our_place_is_moved_aside() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    let id = |name| MapFd::open(&maps(&lab).join(name), shunt::kernel::sys::Access::Read).unwrap().id();
    let (slots, backends) = (id("SLOTS"), id("BACKENDS"));
    meanwhile(&lab, &mut kernel, |kernel, tally| {
        fs::rename(maps(&lab).join("SLOTS"), maps(&lab).join("BACKENDS")).unwrap();
        fs::create_dir(maps(&lab).join("SLOTS")).unwrap();
        fs::rename(maps(&lab).join("NODE"), links(&lab).join("connect4")).unwrap();
        tally.some_more();
        let round = watch(kernel);
        let foreign = |name| (name, Fault::ForeignPin);
        assert_eq!(
            faults(&round.restored),
            [foreign("BACKENDS"), foreign("SLOTS"), ("NODE", Fault::Unpinned), foreign("connect4")].into()
        );
        let text = round.restored.iter().find(|finding| finding.hook.name == "SLOTS").unwrap().to_string();
        assert!(text.contains("foreign/v"), "it says where it is: {text}");
        assert_quiet(&watch(kernel));
    });
    assert_eq!((id("SLOTS"), id("BACKENDS")), (slots, backends));
    LinkFd::open(&links(&lab).join("connect4")).unwrap().info().unwrap().expect("a link to a cgroup");
    let aside = fs::read_dir(lab.pin_path().join("foreign")).unwrap().count();
    assert_eq!(aside, 3, "nothing was removed");
    assert_adopted(&lab, kernel);
    fs::remove_dir_all(lab.pin_path().join("foreign")).unwrap();
}

#[test]
fn an_unmounted_bpffs_detaches_nothing_and_is_used_again_once_it_is_back() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    let path = lab.bpffs.path();
    meanwhile(&lab, &mut kernel, |kernel, tally| {
        for _ in 0..2 {
            // The agent's lock is on a directory of it, so that it is busy.
            assert!(unmount(path, UnmountFlags::empty()).is_err());
            unmount(path, UnmountFlags::DETACH).unwrap();
            tally.some_more();
            for _ in 0..2 {
                let round = watch(kernel);
                assert_eq!(faults(&round.found), [("pins", Fault::Unmounted)].into());
                assert!(round.restored.is_empty() && round.lost.is_none(), "{round:#?}");
            }
            tally.some_more();
            mount_bpffs(path);
            let round = watch(kernel);
            assert_all_pinned_again(&lab, &round);
            assert_quiet(&watch(kernel));
        }
    });
    assert_adopted(&lab, kernel);
}

#[test]
fn the_usual_bpffs_is_mounted_again_by_the_agent() {
    let Some(lab) = Lab::new() else { return };
    let pin_path = Path::new("/sys/fs/bpf/shunt-test");
    let options = Options { pin_path: pin_path.to_owned(), capacities: small(), ..lab.options() };
    thread::scope(|scope| {
        let work = || {
            use rustix::mount::{MountPropagationFlags, mount_change};
            // Mounts made from here on are this thread's own, and go with it.
            crate::kernel_lab::isolate(
                rustix::thread::UnshareFlags::NEWNS | rustix::thread::UnshareFlags::FS,
            );
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            while unmount("/sys/fs/bpf", UnmountFlags::DETACH).is_ok() {}
            let mut kernel = Kernel::open(&options).unwrap();
            kernel.attach().unwrap();
            assert_quiet(&watch(&mut kernel));
            unmount("/sys/fs/bpf", UnmountFlags::DETACH).unwrap();
            let round = watch(&mut kernel);
            assert!(faults(&round.restored).contains(&("pins", Fault::Unmounted)), "{round:#?}");
            assert_eq!(round.restored.len(), 1 + MAPS.len() + PROGRAMS.len(), "{round:#?}");
            assert_quiet(&watch(&mut kernel));
            drop(kernel);
            shunt::kernel::remove(pin_path).unwrap();
        };
        scope.spawn(work).join().unwrap();
    });
}

#[test]
fn an_agent_that_finds_another_one_at_its_pin_path_is_told_to_end() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    unmount(lab.bpffs.path(), UnmountFlags::DETACH).unwrap();
    mount_bpffs(lab.bpffs.path());
    let mut second = lab.open();
    let round = watch(&mut kernel);
    let lost = round.lost.expect("somebody else has it");
    assert!(matches!(lost, KernelError::Locked { .. }), "{lost}");
    assert!(round.restored.is_empty() && round.found.is_empty(), "it touches nothing");
    drop(kernel);
    second.attach().unwrap();
    // The kernel lets go of links that nobody holds some time later.
    let end = Instant::now() + Duration::from_secs(5);
    while !watch(&mut second).found.is_empty() && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
    assert_quiet(&watch(&mut second));
}

#[test]
fn entries_of_stages_are_put_back() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert_quiet(&watch(&mut kernel));
    let stages = maps(&lab).join("STAGES");
    let delete = ["map", "delete", "pinned", stages.to_str().unwrap(), "key", "2", "0", "0", "0"];
    run("bpftool", &delete);
    let round = watch(&mut kernel);
    assert_eq!(faults(&round.restored), [("stage_send", Fault::Missing)].into());
    assert_quiet(&watch(&mut kernel));
}
