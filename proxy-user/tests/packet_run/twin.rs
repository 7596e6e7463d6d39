//! The programs in the kernel, with maps and a network of their own: a second node, which is told what a test's is.

use crate::{
    frame::{Frame, Link, MACS, Summed},
    lab::Lab,
    net::Net,
    node::Node,
    tables::Tables,
};
use aya::{
    maps::{PerCpuArray, PerCpuValues},
    util::nr_cpus,
};
use proxy_common::{
    abi::{ABI_VERSION, Counter},
    packet::{Action, Hook},
};
use rustix::{
    thread::{LinkNameSpaceType, move_into_link_name_space},
    time::{ClockId, clock_gettime},
};
use shunt::{
    kernel::{
        Kernel, Options, Programs,
        sys::{TestPacket, TestRun, test_run},
    },
    lab::{Bpffs, Cgroup},
    writer::Capacities,
};
use std::{
    cell::RefCell,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use zerocopy::IntoBytes;

/// TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT (linux/pkt_cls.h).
const GOES_ON: u32 = u32::MAX;
const SHOT: u32 = 2;
const REDIRECT: u32 = 7;

/// The longest packet that every kernel takes: a page has to hold it, with what the kernel puts around.
const LONGEST: usize = 3400;

pub struct Twin {
    programs: Programs,
    node: Node,
    tables: Tables,
    // The pins go with it.
    _bpffs: Bpffs,
    _cgroup: Cgroup,
    /// How often the programs ran, in all tests.
    pub runs: u64,
}

/// What a program made of a packet.
pub struct Outcome {
    run: TestRun,
    /// Nanoseconds of CLOCK_MONOTONIC, of the second in which it ran.
    now: u64,
    counted: Vec<(Counter, u64)>,
    /// The sum that a device had computed does not fit the packet any more.
    sum_is_wrong: bool,
}

thread_local! {
    /// Keeps the twin for as long as a test's thread lives, which is in its network namespace from then on.
    static MINE: RefCell<Option<Arc<Mutex<Twin>>>> = const { RefCell::new(None) };
}

/// The twin; none where no lab can be made.
pub fn twin() -> Option<Arc<Mutex<Twin>>> {
    static SHARED: Mutex<Weak<Mutex<Twin>>> = Mutex::new(Weak::new());
    MINE.with_borrow_mut(|mine| {
        if mine.is_none() {
            if let Err(reason) = shunt::lab::available() {
                assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
                eprintln!("the kernel is not asked: {reason}");
                return None;
            }
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            let twin = shared.upgrade().unwrap_or_else(|| Arc::new(Mutex::new(Twin::new())));
            *shared = Arc::downgrade(&twin);
            move_into_link_name_space(lock(&twin).node.namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .unwrap();
            *mine = Some(twin);
        }
        mine.clone()
    })
}

/// The twin alone. A test that has failed leaves what it made of the maps.
pub fn lock(twin: &Mutex<Twin>) -> MutexGuard<'_, Twin> {
    twin.lock().unwrap_or_else(|poisoned| {
        twin.clear_poison();
        let mut twin = poisoned.into_inner();
        twin.tables.forget();
        twin
    })
}

/// CLOCK_MONOTONIC, in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Twin {
    fn new() -> Self {
        let (bpffs, cgroup) = (Bpffs::new().unwrap(), Cgroup::new().unwrap());
        let pins = bpffs.path().join("shunt");
        let capacities = Capacities {
            frontends: 256,
            services: 64,
            slots: 1_024,
            backends: 512,
            name_cells: 64,
            sockets: 64,
            affinities: 1_024,
            flows: 2_048,
            prefixes: 256,
        };
        let options = Options {
            cgroup: cgroup.path().to_owned(),
            pin_path: pins.clone(),
            capacities,
            ..Options::default()
        };
        let (_, programs) = Kernel::open(&options).unwrap().split();
        let tables = Tables::open(&pins.join(format!("v{ABI_VERSION}/maps")));
        Self { programs, node: Node::new(), tables, _bpffs: bpffs, _cgroup: cgroup, runs: 0 }
    }

    /// Whether the kernel can be shown this packet, and the node that it meets: BPF_PROG_TEST_RUN takes
    /// what is behind an Ethernet header, and makes no packet whose checksum is yet to be completed. What is addressed
    /// to another device is none of ours there, which a packet in memory does not know.
    pub fn can_show(lab: &Lab, frame: &Frame<'_>) -> bool {
        let (usual, net, world) = (Net::default(), frame.net, &lab.world);
        frame.link != Link::Headerless
            && (shortest(&frame.bytes)..LONGEST).contains(&frame.bytes.len())
            && frame.bytes[..6] == MACS[..6]
            && !matches!(frame.summed, Summed::Partial { .. })
            && !frame.no_memory
            && (net.routes == usual.routes && net.mtus == usual.mtus)
            // An entry that says more than the device does is believed, except in memory.
            && world.devices.iter().all(|(device, entry)| entry.mtu as usize <= net.mtus[device])
            && net.sockets.is_empty()
            && net.no_route_to.is_empty()
            && world.room.get() > 1000
            && world.others.borrow().is_empty()
            && !world.fake.affinity_full
            && !world.watched
            && Tables::can_hold(world, now())
    }

    /// Runs the program of the packet's hook on it, over what the test's node has in memory.
    pub fn run(&mut self, lab: &Lab, frame: &Frame<'_>) -> Outcome {
        let device = self.node.devices[&frame.device];
        let came_by = if frame.made_here { 0 } else { device };
        let summed = matches!(frame.summed, Summed::Complete(_));
        let segment = if frame.segmented { 1000 } else { 0 };
        let mut packet = TestPacket { bytes: &frame.bytes, device, came_by, summed, segment };
        loop {
            let now_before = now();
            self.tables.write(&lab.world, now_before, &self.node.devices);
            let before = self.tables.counters();
            forget_time(&mut self.programs);
            let program = program(&mut self.programs, frame.hook);
            let run = test_run(program, &packet, 1);
            let after = self.tables.counters();
            self.runs += 1;
            if run.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::EBADMSG)) {
                packet.summed = false;
            // A second counts in what flows remember.
            } else if now() / 1_000_000_000 == now_before / 1_000_000_000 {
                let run =
                    run.unwrap_or_else(|error| panic!("BPF_PROG_TEST_RUN of {:x?}: {error}", frame.bytes));
                let grown =
                    Counter::ALL.into_iter().zip(after.iter().zip(&before).map(|(new, old)| new - old));
                let counted = grown.filter(|(_, count)| *count > 0).collect();
                return Outcome { run, now: now_before, counted, sum_is_wrong: summed && !packet.summed };
            }
            self.tables.forget();
        }
    }

    /// Says that the kernel did what the functions did: what came out of them is `frame`.
    pub fn compare(
        &mut self,
        lab: &Lab,
        outcome: &Outcome,
        action: Action,
        frame: &Frame<'_>,
        counted: &[(Counter, u64)],
    ) {
        let mut bytes = frame.bytes.clone();
        let value = match action {
            Action::Pass => GOES_ON,
            Action::Drop => SHOT,
            Action::Inject { device } if device == frame.device => GOES_ON,
            Action::Inject { device } => {
                bytes[..6].copy_from_slice(lab.world.devices[&device].mac.as_bytes());
                REDIRECT
            }
            Action::Return => {
                bytes[..12].rotate_left(6);
                REDIRECT
            }
            Action::Forward { .. } => REDIRECT,
        };
        assert_eq!(outcome.run.value, value, "what the program returned, for {action:?}");
        if action != Action::Drop {
            assert_eq!(hex(&outcome.run.bytes), hex(&bytes), "the packet: from the kernel, in memory");
        }
        // What has changed its length has no such sum any more, of which BPF_PROG_TEST_RUN knows nothing.
        let shortened = matches!(action, Action::Return | Action::Drop);
        assert!(shortened || !outcome.sum_is_wrong, "the device's sum does not fit the packet any more");
        assert_eq!(outcome.counted, counted, "COUNTERS: in the kernel, in memory");
        self.tables.compare(&lab.world, outcome.now, &self.node.devices);
    }
}

/// The shortest packet that BPF_PROG_TEST_RUN takes (net/bpf/test_run.c): an IP header has to be there.
fn shortest(bytes: &[u8]) -> usize {
    match bytes.get(12..14) {
        Some([8, 0]) => 14 + 20,
        Some([0x86, 0xdd]) => 14 + 40,
        _ => 14 + 1,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Has the programs read the clock anew: what they know of it may be a second old.
fn forget_time(programs: &mut Programs) {
    let map = programs.ebpf_mut().map_mut("CLOCK").unwrap();
    let mut clock: PerCpuArray<_, [u64; 2]> = map.try_into().unwrap();
    clock.set(0, PerCpuValues::try_from(vec![[0; 2]; nr_cpus().unwrap()]).unwrap(), 0).unwrap();
}

fn program(programs: &mut Programs, hook: Hook) -> BorrowedFd<'_> {
    let name = match hook {
        Hook::Ingress => "ingress",
        Hook::Egress => "egress",
    };
    programs.ebpf_mut().program_mut(name).unwrap().fd().unwrap().as_fd()
}
