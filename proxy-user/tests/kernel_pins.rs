//! Pins, links and the lock: what is adopted, replaced, refused and removed. Needs root; see
//! `kernel_lab` for what it touches.
#![cfg(feature = "lab")]

mod kernel_lab;

use kernel_lab::{Lab, isolate};
use proxy_common::abi::ABI_VERSION;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities};
use shunt::kernel::sys::{Access, MapFd};
use shunt::kernel::{Attached, Kernel, KernelError, MapShape, Options, PROGRAMS, remove};
use shunt::lab::Process;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn what_others_detached_is_attached_again() {
    let Some(mut lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    fs::remove_file(lab.pin_path().join("v4/links/connect4")).unwrap();
    assert_eq!(kernel.attached().unwrap().len(), PROGRAMS.len() - 1);
    let rest = PROGRAMS.len() - 1;
    assert_eq!(kernel.attach().unwrap(), Attached { created: 1, unchanged: rest, ..Attached::default() });
    let old = kernel.attached().unwrap();
    drop(kernel);

    // Another cgroup is wanted: the old one is left.
    let old_cgroup = lab.cgroup().to_owned();
    lab.new_cgroup();
    let mut kernel = lab.open();
    assert!(kernel.attached().unwrap().iter().all(|program| !program.effective));
    assert_eq!(kernel.attach().unwrap(), Attached { created: PROGRAMS.len(), ..Attached::default() });
    let new = kernel.attached().unwrap();
    assert!(new.iter().zip(&old).all(|(new, old)| new.effective && new.link_id != old.link_id));
    let cgroup = shunt::kernel::Cgroup::open(&old_cgroup).unwrap();
    let reader = Kernel::read_only(&lab.pin_path()).unwrap();
    assert!(reader.attached(&cgroup).unwrap().iter().all(|program| !program.effective));
    drop(kernel);

    // The cgroup has died, which unlinks but leaves the pins.
    lab.remove_cgroup();
    wait_until(|| {
        let programs = reader.attached(&cgroup).unwrap();
        programs.len() == PROGRAMS.len() && programs.iter().all(|program| program.cgroup_id == 0)
    });
    lab.new_cgroup();
    let mut kernel = lab.open();
    assert_eq!(kernel.attach().unwrap().created, PROGRAMS.len());
    assert!(kernel.attached().unwrap().iter().all(|program| program.effective));
    let pins = fs::read_dir(lab.pin_path().join("v4/links")).unwrap().count();
    assert_eq!(pins, PROGRAMS.len(), "no temporary pin is left");
}

#[test]
fn a_reader_refuses_a_foreign_pin_by_name() {
    let Some(lab) = Lab::new() else { return };
    drop(lab.open());
    let pin = lab.pin_path().join(format!("v{ABI_VERSION}/maps/BACKENDS"));
    fs::remove_file(&pin).unwrap();
    let foreign = aya::maps::Array::<aya::maps::MapData, [u8; 4096]>::create(4, 0).unwrap();
    foreign.pin(&pin).unwrap();

    let error = Kernel::read_only(&lab.pin_path()).map(drop).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(pin.to_str().unwrap()), "{text}");
    assert!(text.contains("value 4096 bytes") && text.contains("value 32 bytes"), "{text}");
    assert!(!error.is_environment());
    let KernelError::ForeignMap { found, expected, .. } = error else { panic!("{text}") };
    assert_eq!((found.value_size, expected.value_size), (4096, 32));
    let MapShape { value_size, .. } = *MapFd::open(&pin, Access::Read).unwrap().shape();
    assert_eq!(value_size, 4096, "left alone");
}

#[test]
fn a_second_writer_is_refused_and_told_who_holds_the_path() {
    let Some(lab) = Lab::new() else { return };
    drop(lab.open());
    let mut holder = Command::new("flock");
    holder.args(["--no-fork", "--exclusive"]).arg(lab.pin_path()).args(["sleep", "60"]);
    let mut holder = Process::start(&mut holder).expect("flock(1)");
    let pid = holder.child().id();
    let command = Path::new("/proc").join(pid.to_string()).join("comm");
    wait_until(|| fs::read_to_string(&command).is_ok_and(|name| name == "sleep\n"));

    for error in [Kernel::open(&lab.options()).map(drop).unwrap_err(), remove(&lab.pin_path()).unwrap_err()] {
        let text = error.to_string();
        let wanted = format!("process {pid} (sleep)");
        assert!(text.contains(&wanted) && text.contains(lab.pin_path().to_str().unwrap()), "{text}");
    }
    Kernel::read_only(&lab.pin_path()).expect("readers need no lock");
    drop(holder);
    // The parts of a handle hold the path until the last of them is gone.
    let (maps, programs) = lab.open().split();
    drop(programs);
    assert!(matches!(Kernel::open(&lab.options()), Err(KernelError::Locked { .. })));
    drop(maps);
    lab.open();
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    for _ in 0..500 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited for 5 s");
}

#[test]
fn removing_leaves_nothing_but_what_is_not_ours() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    assert!(matches!(remove(&lab.pin_path()), Err(KernelError::Locked { .. })));
    let cgroup = shunt::kernel::Cgroup::open(lab.cgroup()).unwrap();
    drop(kernel);

    let foreign = lab.pin_path().join("cilium");
    fs::create_dir(&foreign).unwrap();
    remove(&lab.pin_path()).unwrap();
    assert!(foreign.exists());
    assert_eq!(fs::read_dir(lab.pin_path()).unwrap().count(), 1);
    fs::remove_dir(foreign).unwrap();
    remove(&lab.pin_path()).unwrap();
    assert!(!lab.pin_path().exists());
    remove(&lab.pin_path()).expect("a second time");
    for (program, attach_type) in PROGRAMS {
        // The kernel lets go of an unpinned link from a work queue.
        let running = || shunt::kernel::sys::effective_programs(cgroup.as_fd(), attach_type).unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while !running().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(running(), [0_u32; 0], "{program}");
    }
    let error = Kernel::read_only(&lab.pin_path()).map(drop).unwrap_err();
    assert!(matches!(error, KernelError::NotPinned { .. }), "{error}");
}

#[test]
fn what_another_version_left_is_taken_over_in_place() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    let before = kernel.attached().unwrap();
    drop(kernel);
    let cgroup = shunt::kernel::Cgroup::open(lab.cgroup()).unwrap();
    let running = |attach_type| shunt::kernel::sys::effective_programs(cgroup.as_fd(), attach_type).unwrap();
    let former = lab.pin_path().join("v1");
    let current = lab.pin_path().join(format!("v{ABI_VERSION}"));
    fs::rename(&current, &former).unwrap();
    // Killed between attaching and renaming.
    fs::rename(former.join("links/recvmsg6"), former.join("links/recvmsg6_new")).unwrap();
    let foreign = lab.pin_path().join("cilium");
    fs::create_dir(&foreign).unwrap();

    let mut kernel = lab.open();
    let all = PROGRAMS.len();
    assert_eq!(kernel.attach().unwrap(), Attached { replaced: all, ..Attached::default() });
    assert!(!former.exists() && current.exists() && foreign.exists());
    for (before, now) in before.iter().zip(kernel.attached().unwrap()) {
        assert!(now.effective && now.program_id != before.program_id, "{now:?}");
        assert_eq!(now.link_id == before.link_id, now.program != "recvmsg6", "{now:?}");
        let attach_type = PROGRAMS.into_iter().find(|(name, _)| *name == now.program).unwrap().1;
        // The kernel lets go of an unpinned link from a work queue.
        wait_until(|| running(attach_type) == [now.program_id]);
    }
    let (_maps, mut programs) = kernel.split();
    programs.remove_other_versions().expect("nothing is left to do");
    fs::remove_dir(foreign).unwrap();
}

#[test]
fn missing_privileges_are_the_environments_fault() {
    let Some(lab) = Lab::new() else { return };
    let options = lab.options();
    let open_with = |capabilities: CapabilitySet| {
        std::thread::scope(|scope| {
            let open = || {
                let sets = CapabilitySets {
                    effective: capabilities,
                    permitted: capabilities,
                    inheritable: CapabilitySet::empty(),
                };
                set_capabilities(None, sets).expect("drop capabilities of this thread");
                Kernel::open(&options).map(drop)
            };
            scope.spawn(open).join().unwrap()
        })
    };
    for (capabilities, missing) in
        [(CapabilitySet::empty(), "CAP_BPF"), (CapabilitySet::BPF, "CAP_BPF and CAP_NET_ADMIN")]
    {
        let error = open_with(capabilities).unwrap_err();
        assert!(error.is_environment(), "{error}");
        assert!(error.to_string().contains(missing), "{error}");
        assert!(!lab.pin_path().exists(), "nothing was made");
    }
    let outside = Kernel::open(&Options { cgroup: "/proc".into(), ..lab.options() }).map(drop).unwrap_err();
    assert!(matches!(outside, KernelError::NotCgroup2 { .. }), "{outside}");
}

#[test]
fn the_usual_bpffs_is_mounted_where_it_is_missing() {
    let Some(lab) = Lab::new() else { return };
    let pin_path = Path::new("/sys/fs/bpf/shunt-test/deep");
    let options = Options { pin_path: pin_path.to_owned(), ..lab.options() };
    std::thread::scope(|scope| {
        let work = || {
            // Mounts made from here on are this thread's own, and go with it.
            isolate(UnshareFlags::NEWNS | UnshareFlags::FS);
            mount_change("/sys", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            while unmount("/sys/fs/bpf", UnmountFlags::DETACH).is_ok() {}
            let mut kernel = Kernel::open(&options).unwrap();
            kernel.attach().unwrap();
            drop(kernel);
            assert!(pin_path.join("v4/maps/SLOTS").exists());
            remove(pin_path).unwrap();
            assert!(!pin_path.exists());
        };
        scope.spawn(work).join().unwrap();
    });
}
