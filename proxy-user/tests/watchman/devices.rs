//! The packet programs on devices.

use crate::kernel_lab::Lab;
use crate::{assert_quiet, faults, links, maps, run};
use aya_obj::generated::bpf_attach_type::{BPF_TCX_EGRESS, BPF_TCX_INGRESS};
use aya_obj::generated::bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS;
use proxy_common::abi::DeviceEntry;
use shunt::kernel::sys::{ForeignProgram, LinkFd, Tc, TcHook, calls, tcx_links};
use shunt::kernel::watchman::{DEVICES_PER_ROUND, Fault, Round};
use shunt::kernel::{Kernel, Options, PROGRAMS};
use shunt::lab::{Namespace, ping};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// What somebody does, and what is the matter then.
type Damage<'a> = (&'a dyn Fn(), &'a [(&'static str, Fault)]);

/// A node with a device that a peer answers behind.
struct Stage {
    lab: Lab,
    node: Namespace,
    _peer: Namespace,
    clsact: bool,
}

impl Stage {
    fn each(test: impl Fn(&Stage, &mut Kernel, u32) + Sync) {
        for clsact in [false, true] {
            let Some(lab) = Lab::new() else { return };
            let [node, peer] = ["node", "peer"].map(|label| Namespace::new(label).expect("a namespace"));
            node.connect("eth0", &peer, "eth0").expect("a device");
            for (last, namespace) in [(1, &node), (2, &peer)] {
                namespace.add_address("eth0", IpAddr::from([192, 0, 2, last]), 24).expect("an address");
            }
            let stage = Stage { lab, node, _peer: peer, clsact };
            let device = stage.node.device_index("eth0").expect("an index");
            if !clsact && stage.node.run(|| tcx_links(device, BPF_TCX_INGRESS)).expect("a namespace").is_err()
            {
                eprintln!("skipped: this kernel has no tcx");
                continue;
            }
            let mut kernel = Kernel::open(&Options { clsact, ..stage.lab.options() }).unwrap();
            kernel.attach().unwrap();
            stage.node.run(|| test(&stage, &mut kernel, device)).expect("a namespace");
        }
    }

    /// Ids of links, or priorities of filters: what identifies an attachment.
    fn running(&self, device: u32) -> [Vec<u32>; 2] {
        if !self.clsact {
            return [BPF_TCX_INGRESS, BPF_TCX_EGRESS].map(|hook| tcx_links(device, hook).unwrap());
        }
        [TcHook::Ingress, TcHook::Egress].map(|hook| {
            let filters = Tc::open().unwrap().filters(device, hook).unwrap();
            filters.iter().filter(|filter| filter.handle != 0).map(|filter| filter.priority.into()).collect()
        })
    }
}

fn watch(kernel: &mut Kernel, devices: &[u32]) -> Round {
    kernel.watch(&devices.iter().map(|device| (*device, DeviceEntry::default())).collect())
}

fn assert_peer_answers() {
    ping(IpAddr::from([192, 0, 2, 2]), Duration::from_secs(2)).expect("an answer");
}

#[test]
fn what_tc_and_bpftool_have_taken_away_is_there_again() {
    Stage::each(|stage, kernel, device| {
        kernel.packets().attach(device, &DeviceEntry::default()).unwrap();
        assert_quiet(&watch(kernel, &[device]));
        let damages: &[Damage<'_>] = if stage.clsact {
            let ingress = ["filter", "del", "dev", "eth0", "ingress"];
            let both = ["qdisc", "del", "dev", "eth0", "clsact"];
            &[
                (&move || run("tc", &ingress), &[("ingress", Fault::Missing)]),
                (&move || run("tc", &both), &[("egress", Fault::Missing), ("ingress", Fault::Missing)]),
            ]
        } else {
            let pin =
                |hook: &str| links(&stage.lab).join(format!("{hook}-{device}")).to_str().unwrap().to_owned();
            let (egress, ingress) = (pin("egress"), pin("ingress"));
            &[
                (
                    &move || run("bpftool", &["link", "detach", "pinned", &egress]),
                    &[("egress", Fault::Detached)],
                ),
                (
                    &move || run("bpftool", &["link", "detach", "pinned", &ingress]),
                    &[("ingress", Fault::Detached)],
                ),
            ]
        };
        for (damage, wanted) in damages {
            assert_peer_answers();
            damage();
            assert_peer_answers();
            let round = watch(kernel, &[device]);
            assert_eq!(faults(&round.restored), wanted.iter().copied().collect(), "{round:#?}");
            assert!(round.found.is_empty(), "{round:#?}");
            assert!(kernel.packets().attached().unwrap()[0].is_effective());
            assert_quiet(&watch(kernel, &[device]));
            assert!(stage.running(device).iter().all(|hook| hook.len() == 1), "none is attached twice");
        }
        kernel.packets().detach(device).unwrap();
        assert_quiet(&watch(kernel, &[]));
    });
}

#[test]
fn pins_and_entries_of_devices_are_restored_without_attaching_anew() {
    Stage::each(|stage, kernel, device| {
        kernel.packets().attach(device, &DeviceEntry::default()).unwrap();
        assert_quiet(&watch(kernel, &[device]));
        let before = stage.running(device);
        let map = maps(&stage.lab).join("DEVICES");
        let key = device.to_ne_bytes().map(|byte| byte.to_string());
        let mut delete = vec!["map", "delete", "pinned", map.to_str().unwrap(), "key"];
        delete.extend(key.iter().map(String::as_str));
        run("bpftool", &delete);
        let round = watch(kernel, &[device]);
        assert_eq!(faults(&round.restored), [("DEVICES", Fault::Missing)].into());
        if !stage.clsact {
            for hook in ["egress", "ingress"] {
                fs::remove_file(links(&stage.lab).join(format!("{hook}-{device}"))).unwrap();
            }
            assert_eq!(stage.running(device), before, "the agent holds them");
            let round = watch(kernel, &[device]);
            let wanted = [("egress", Fault::Unpinned), ("ingress", Fault::Unpinned)];
            assert_eq!(faults(&round.restored), wanted.into());
        }
        assert_quiet(&watch(kernel, &[device]));
        assert_eq!(stage.running(device), before);
        // Held, not pinned, and to be detached: it goes too.
        if !stage.clsact {
            fs::remove_file(links(&stage.lab).join(format!("ingress-{device}"))).unwrap();
        }
        kernel.packets().detach(device).unwrap();
        assert!(stage.running(device).iter().all(Vec::is_empty));
    });
}

#[test]
fn others_on_a_device_are_named_and_left_alone() {
    Stage::each(|stage, kernel, device| {
        kernel.packets().attach(device, &DeviceEntry::default()).unwrap();
        let load = |name| ForeignProgram::load(name, BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_INGRESS, -1).unwrap();
        let theirs = load("cil_from_netdev");
        let link = LinkFd::create_tcx(theirs.as_fd(), device, BPF_TCX_INGRESS).unwrap();
        let round = watch(kernel, &[device]);
        assert_eq!(faults(&round.found), [("ingress", Fault::ForeignBefore)].into());
        assert!(
            round.restored.is_empty() && round.found[0].to_string().contains("cil_from_netdev"),
            "{round:#?}"
        );
        assert!(round.found[0].to_string().starts_with("ingress on eth0: "), "{}", round.found[0]);
        if stage.clsact {
            // Ours is the one that goes: theirs, and the qdisc, stay.
            let own = stage.running(device)[0][0];
            Tc::open()
                .unwrap()
                .put_filter(device, TcHook::Ingress, (7, 1), "theirs", theirs.as_fd())
                .unwrap();
            Tc::open().unwrap().remove_filter(device, TcHook::Ingress, (own as u16, 1)).unwrap();
            let round = watch(kernel, &[device]);
            assert_eq!(faults(&round.restored), [("ingress", Fault::Missing)].into());
            assert_eq!(stage.running(device)[0], [1, 7]);
            Tc::open().unwrap().remove_filter(device, TcHook::Ingress, (7, 1)).unwrap();
        }
        assert_eq!(tcx_links(device, BPF_TCX_INGRESS).unwrap()[0], link.id().unwrap());
        link.detach().unwrap();
        assert_quiet(&watch(kernel, &[device]));
        kernel.packets().detach(device).unwrap();
    });
}

#[test]
fn a_device_that_is_gone_is_no_fault_and_many_devices_are_looked_at_in_turns() {
    let Some(lab) = Lab::new() else { return };
    let node = Namespace::new("node").expect("a namespace");
    let peer = Namespace::new("peer").expect("a namespace");
    let names: Vec<_> = (0..DEVICES_PER_ROUND + 2).map(|number| format!("veth{number}")).collect();
    names.iter().for_each(|name| node.connect(name, &peer, name).expect("a device"));
    let devices: Vec<_> = names.iter().map(|name| node.device_index(name).expect("an index")).collect();
    let mut kernel = lab.open();
    kernel.attach().unwrap();
    node.run(|| {
        let of_tcx = tcx_links(devices[0], BPF_TCX_INGRESS).is_ok();
        devices.iter().for_each(|device| kernel.packets().attach(*device, &DeviceEntry::default()).unwrap());
        let round = watch(&mut kernel, &devices);
        assert_quiet(&round);
        assert_eq!(round.passed_over.len(), 2);
        let before = calls();
        let next = watch(&mut kernel, &devices);
        assert_quiet(&next);
        assert!(next.passed_over.len() == 2 && next.passed_over.is_disjoint(&round.passed_over));
        let each = if of_tcx { 3 } else { 1 };
        assert_eq!(calls() - before, (2 * PROGRAMS.len() + 4 + each * DEVICES_PER_ROUND) as u64);
        // Whatever was detached on whichever device is found in two looks.
        let entries =
            devices.iter().map(|device| (*device, DeviceEntry::default())).collect::<BTreeMap<_, _>>();
        let map = shunt::kernel::sys::MapFd::open(
            &maps(&lab).join("DEVICES"),
            shunt::kernel::sys::Access::ReadWrite,
        );
        let map = map.unwrap();
        devices.iter().for_each(|device| map.delete(&device.to_ne_bytes()).unwrap());
        let restored: BTreeSet<_> = (0..2)
            .flat_map(|_| kernel.watch(&entries).restored)
            .map(|finding| finding.hook.device.expect("a device"))
            .collect();
        assert_eq!(restored, devices.iter().copied().collect());
        node.remove_device(&names[0]).expect("removed");
        let round = watch(&mut kernel, &devices[..1]);
        assert_quiet(&round);
        assert_eq!(round.passed_over, BTreeSet::new());
        devices.iter().for_each(|device| kernel.packets().detach(*device).unwrap());
    })
    .expect("a namespace");
}
