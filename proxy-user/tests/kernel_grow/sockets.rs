//! Sockets that dial while maps grow.

use crate::island::Island;
use crate::kernel_lab::{Lab, small};
use crate::{sizes, traffic};
use proxy_common::abi::Counter;
use shunt::kernel::{Kernel, Options};
use shunt::writer::{Capacities, MapReader as _};
use std::fs;

#[test]
fn no_connection_and_no_flow_notices_that_maps_grow() {
    let Some(lab) = Lab::new() else { return };
    // Flows that end are not forgotten: the maps must hold all that begin, or those in use may be evicted.
    let capacities = Capacities { sockets: 65_536, ..small() };
    let mut kernel = Kernel::open(&Options { capacities, ..lab.options() }).unwrap();
    kernel.attach().unwrap();
    let island = Island::new(&lab, &mut kernel);
    let (mut maps, mut programs) = kernel.split();
    for grown in [sizes::config, sizes::remembered, sizes::all] {
        let wanted = grown(&maps.capacities());
        let (sizes, counts) =
            traffic::during(&island.place, &island.targets, || programs.grow(&mut maps, &wanted).unwrap());
        assert_eq!((sizes, maps.capacities()), (wanted, wanted));
        counts.assert_all_well(20);
        eprintln!("{counts:?}");
    }
    assert_eq!(maps.counters().unwrap()[Counter::Inconsistent as usize], 0);
    // One instance, and nothing that was on the way.
    let mut names: Vec<_> = fs::read_dir(lab.pin_path().join("v4"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["links", "maps_4"]);
}
