//! A transition that ends after each of its steps, by an error or because the agent is killed there: connections go on, and
//! the next agent has whole maps and programs over them.

use crate::island::Island;
use crate::kernel_lab::{Lab, small};
use crate::{sizes, traffic};
use proxy_common::abi::{Counter, FlowEntry, FrontendValue, Seen};
use rustix::time::{ClockId, clock_gettime};
use shunt::kernel::sys::{Access, MapFd};
use shunt::kernel::{Cgroup, Kernel, KernelError, KernelMaps, Options, PROGRAMS, Programs, Step};
use shunt::writer::{Capacities, FrontendKey, MapReader};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use zerocopy::IntoBytes as _;

/// What ends a transition.
pub const INJECTED: KernelError = KernelError::Object { object: "a test's error" };

/// How it ends.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Ending {
    /// By an error.
    Error,
    /// Nothing more is done: the agent was killed.
    Kill,
}

pub fn options(lab: &Lab) -> Options {
    Options { capacities: Capacities { sockets: 65_536, ..small() }, ..lab.options() }
}

/// Grows until after `last`; true if it came there.
fn grow_until(
    (maps, programs): (&mut KernelMaps, &mut Programs),
    wanted: &Capacities,
    last: Step,
    ending: Ending,
) -> bool {
    let mut seen = Vec::new();
    let mut after = |step| {
        seen.push(step);
        match ending {
            _ if step != last => Ok(()),
            Ending::Error => Err(INJECTED),
            Ending::Kill => std::panic::resume_unwind(Box::new("killed")),
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| programs.grow_watched(maps, wanted, &mut after)));
    let order: Vec<_> = Step::ALL.into_iter().filter(|step| seen.contains(step)).collect();
    assert_eq!(seen, order);
    let reached = seen.contains(&last);
    match ended {
        Ok(Ok(sizes)) => assert!(!reached && sizes == *wanted),
        Ok(Err(error)) => {
            assert!(matches!(error, KernelError::Object { object: "a test's error" }), "{error}");
        }
        Err(_) => assert!(reached && ending == Ending::Kill),
    }
    reached
}

pub fn is_committed(last: Step) -> bool {
    let place = |step| Step::ALL.iter().position(|other| *other == step);
    place(last) >= place(Step::Committed)
}

pub type Contents = (Vec<(FrontendKey, FrontendValue)>, Vec<String>);

/// What the agent has written.
pub fn contents(maps: &KernelMaps) -> Contents {
    let mut frontends = maps.frontends().unwrap();
    frontends.sort_unstable_by_key(|(key, _)| *key);
    let entries = (0..64)
        .map(|index| format!("{:?} {:?} {:?}", maps.service(index), maps.slot(index), maps.backend(index)));
    (frontends, entries.collect())
}

fn instances(lab: &Lab) -> Vec<String> {
    let entries = fs::read_dir(lab.pin_path().join("v4")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "links")
        .collect()
}

#[track_caller]
fn assert_whole(kernel: &Kernel, lab: &Lab, wanted: &Contents) {
    assert_eq!(&contents(kernel.maps()), wanted);
    let attached = kernel.attached().unwrap();
    assert!(attached.len() == PROGRAMS.len() && attached.iter().all(|program| program.effective));
    assert_eq!(instances(lab).len(), 1, "{:?}", instances(lab));
    assert!(kernel.maps().are_pinned());
    let reader = Kernel::read_only(&lab.pin_path()).unwrap();
    assert_eq!(reader.capacities(), kernel.maps().capacities());
    assert!(reader.attached(&Cgroup::open(lab.cgroup()).unwrap()).unwrap() == attached);
    assert_eq!(kernel.maps().counters().unwrap()[Counter::Inconsistent as usize], 0);
}

/// Ends growth after each of these steps, and lets another agent take over.
fn another_agent_takes_over(ending: Ending, grown: fn(&Capacities) -> Capacities, steps: &[Step]) {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    let wanted = contents(kernel.maps());
    for last in steps.iter().copied() {
        let (next, counts) = traffic::during(&island.place, &island.targets, || {
            let (mut maps, mut programs) = kernel.split();
            let before = maps.capacities();
            let larger = grown(&before);
            assert!(grow_until((&mut maps, &mut programs), &larger, last, ending), "{last:?}");
            let leaves_two = ending == Ending::Kill || is_committed(last);
            assert_eq!(
                instances(&lab).len(),
                if leaves_two && last != Step::Removed { 2 } else { 1 },
                "{last:?}"
            );
            drop((maps, programs));
            let mut next = Kernel::open(&options(&lab)).unwrap();
            next.attach().unwrap();
            let wanted = if is_committed(last) { larger } else { before };
            assert_eq!(next.maps().capacities(), wanted, "{last:?}");
            next
        });
        kernel = next;
        assert_whole(&kernel, &lab, &wanted);
        counts.assert_all_well(1);
    }
}

#[test]
fn an_agent_that_is_killed_on_the_way_leaves_it_to_the_next() {
    another_agent_takes_over(Ending::Kill, sizes::all, &Step::ALL);
}

#[test]
fn the_next_agent_goes_on_after_an_error() {
    another_agent_takes_over(Ending::Error, sizes::all, &Step::ALL);
}

#[test]
fn maps_that_only_agents_write_need_no_bridge() {
    use Step::{Cleared, Committed, Copied, Loaded, Removed, Shared, Swapped};
    let steps = [Shared, Loaded, Copied, Committed, Swapped, Cleared, Removed];
    another_agent_takes_over(Ending::Kill, sizes::config, &steps);
}

#[test]
fn the_same_agent_goes_on_where_an_error_ended_it() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    let wanted = contents(kernel.maps());
    let (mut maps, mut programs) = kernel.split();
    for last in Step::ALL {
        let larger = Capacities { sockets: 1_000 + maps.capacities().sockets, ..maps.capacities() };
        let ((), counts) = traffic::during(&island.place, &island.targets, || {
            assert!(grow_until((&mut maps, &mut programs), &larger, last, Ending::Error));
            assert_eq!(programs.grow(&mut maps, &larger).unwrap(), larger, "{last:?}");
        });
        counts.assert_all_well(1);
        assert_eq!(contents(&maps), wanted);
        assert_eq!(instances(&lab).len(), 1, "{last:?}");
        let less = Capacities { sockets: 1, ..larger };
        assert_eq!(programs.grow(&mut maps, &less).unwrap(), larger, "nothing is made smaller");
    }
}

#[test]
fn what_the_new_maps_forgot_does_not_come_back_with_the_next_agent() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let (mut maps, mut programs) = kernel.split();
    let flows = |instance| {
        MapFd::open(&lab.pin_path().join("v4").join(instance).join("FLOWS"), Access::ReadWrite).unwrap()
    };
    let now = || clock_gettime(ClockId::Monotonic).tv_sec as u32;
    let put = |map: &MapFd, number: u8, last_seen: u32| {
        let key = vec![number; map.shape().key_size as usize];
        let flow = FlowEntry { client: Seen::ANY, last_seen, ..FlowEntry::default() };
        map.update(&key, flow.as_bytes()).unwrap();
        key
    };
    let former = flows("maps");
    let silent = put(&former, 1, now() - 60);
    let larger = sizes::remembered(&maps.capacities());
    assert!(grow_until((&mut maps, &mut programs), &larger, Step::Begun, Ending::Kill));
    drop((maps, programs));
    let ours = flows("maps_2");
    ours.delete(&silent).expect("it has come over");
    let begun = put(&former, 2, now());
    let mut next = Kernel::open(&options(&lab)).unwrap();
    next.attach().unwrap();
    assert_eq!(instances(&lab), ["maps_2"]);
    ours.lookup(&silent).expect_err("it was forgotten");
    ours.lookup(&begun).expect("nobody has seen it before");
    let entries = fs::read_dir(lab.pin_path().join("v4/maps_2")).unwrap();
    assert!(entries.map(Result::unwrap).all(|entry| entry.file_type().unwrap().is_file()));
}

#[test]
fn maps_do_not_grow_where_the_pin_path_is_no_more_this_agents() {
    let Some(lab) = Lab::new() else { return };
    let mut kernel = Kernel::open(&options(&lab)).unwrap();
    kernel.attach().unwrap();
    let (mut maps, mut programs) = kernel.split();
    let larger = sizes::all(&maps.capacities());
    let aside = lab.pin_path().with_file_name("aside");
    fs::rename(lab.pin_path(), &aside).unwrap();
    fs::create_dir(lab.pin_path()).unwrap();
    programs.grow(&mut maps, &larger).unwrap_err();
    programs.attach().unwrap_err();
    assert_eq!(fs::read_dir(lab.pin_path()).unwrap().count(), 0);
    fs::remove_dir(lab.pin_path()).unwrap();
    fs::rename(&aside, lab.pin_path()).unwrap();
    assert_eq!(programs.grow(&mut maps, &larger).unwrap(), larger);
}
