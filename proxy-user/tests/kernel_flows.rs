//! Flows of packets are aged in the kernel's own map, by few calls. Needs root.
#![cfg(feature = "lab")]

mod kernel_lab;

use kernel_lab::{Lab, small};
use proxy_common::abi::{ABI_VERSION, Address, FlowEntry, Seen, Tuple, UDP};
use shunt::kernel::sys::{self, Access, MapFd};
use shunt::kernel::{Collected, Collector, Kernel, Options};
use shunt::writer::Capacities;
use zerocopy::IntoBytes;

const NOW: u32 = 100_000;

/// Flows of datagrams that were answered: forgotten after 120 seconds.
fn put(flows: &MapFd, numbers: impl Iterator<Item = u32>, silent: u32) {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for number in numbers {
        let source = Address::from_v4_word(number.to_be());
        let key = Tuple { source, protocol: u32::from(UDP), ..Tuple::default() };
        let value = FlowEntry {
            client: Seen::ANY,
            server: Seen::ANY,
            last_seen: NOW - silent,
            ..FlowEntry::default()
        };
        keys.extend_from_slice(key.as_bytes());
        values.extend_from_slice(value.as_bytes());
    }
    flows.update_batch(&keys, &values).expect("BPF_MAP_UPDATE_BATCH");
}

/// One whole round, with the bpf(2) calls that it took.
fn round(kernel: &Kernel, collector: &mut Collector) -> (Collected, u64, usize) {
    let (mut sum, mut steps) = (Collected::default(), 0);
    let before = sys::calls();
    while !sum.finished {
        let step = kernel.maps().collect_flows(collector, NOW).expect("a step");
        steps += 1;
        sum = Collected {
            looked: sum.looked + step.looked,
            removed: sum.removed + step.removed,
            finished: step.finished,
        };
    }
    (sum, sys::calls() - before, steps)
}

#[test]
fn flows_are_aged_by_few_calls() {
    let Some(lab) = Lab::new() else { return };
    // An LRU map evicts before it is full, so it has room to spare.
    let capacities = Capacities { flows: 32_768, ..small() };
    let kernel = Kernel::open(&Options { capacities, ..lab.options() }).unwrap();
    let flows =
        MapFd::open(&lab.pin_path().join(format!("v{ABI_VERSION}/maps/FLOWS")), Access::ReadWrite).unwrap();
    let mut collector = Collector::default();

    let (collected, calls, steps) = round(&kernel, &mut collector);
    assert_eq!((collected, calls), (Collected { finished: true, ..Collected::default() }, steps as u64));

    put(&flows, 0..10_000, 120);
    let (collected, calls, steps) = round(&kernel, &mut collector);
    assert_eq!(collected, Collected { looked: 10_000, removed: 0, finished: true });
    assert!(calls == steps as u64 && (5..=7).contains(&steps), "{calls} calls, {steps} steps");

    put(&flows, 10_000..11_000, 121);
    let (collected, calls, steps) = round(&kernel, &mut collector);
    assert_eq!(collected, Collected { looked: 11_000, removed: 1_000, finished: true });
    // Each expired one again, and a batch of at most 128 deletes.
    let least = steps as u64 + 1_000 + 8;
    assert!((least..=least + steps as u64).contains(&calls), "{calls} calls, {steps} steps");
    let (collected, ..) = round(&kernel, &mut collector);
    assert_eq!(collected, Collected { looked: 10_000, removed: 0, finished: true });

    let reader = Kernel::read_only(&lab.pin_path()).unwrap();
    put(&flows, 20_000..20_001, 121);
    let refused = loop {
        match reader.collect_flows(&mut collector, NOW) {
            Ok(step) => assert!(!step.finished, "a reader has removed something"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.source.kind(), std::io::ErrorKind::PermissionDenied, "{refused}");
}
