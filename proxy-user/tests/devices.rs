//! The packet programs on devices: attached, adopted, replaced, and taken away without a trace; by tcx and by
//! clsact. Needs root; every device is in a network namespace that the test made.
#![cfg(feature = "lab")]

mod kernel_lab;

use kernel_lab::Lab;
use proxy_common::abi::DeviceEntry;
use shunt::kernel::sys::{Filter, LinkFd, Tc, TcHook, tcx_links};
use shunt::kernel::{AttachedBy, DeviceAttachment, Kernel, Options, remove};
use shunt::lab::{Namespace, ping};
use std::fs;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use aya_obj::generated::bpf_attach_type::{BPF_TCX_EGRESS, BPF_TCX_INGRESS};

/// Nothing runs, by hook.
const NOTHING: [Vec<u32>; 2] = [Vec::new(), Vec::new()];

const HOOKS: [TcHook; 2] = [TcHook::Ingress, TcHook::Egress];

/// A lab whose kernel handles attach in one way, and a node with a device that a peer answers behind.
struct Stage {
    lab: Lab,
    by: AttachedBy,
    node: Namespace,
    _peer: Namespace,
}

impl Stage {
    /// One for each way that this kernel has; none where no lab can be made.
    fn each(test: impl Fn(&Stage)) {
        for by in [AttachedBy::Tcx, AttachedBy::Clsact] {
            let Some(lab) = Lab::new() else { return };
            let [node, peer] = ["node", "peer"].map(|label| Namespace::new(label).expect("a namespace"));
            node.connect("eth0", &peer, "eth0").expect("done");
            for (last, namespace) in [(1, &node), (2, &peer)] {
                namespace.add_address("eth0", IpAddr::from([192, 0, 2, last]), 24).expect("done");
            }
            let stage = Stage { lab, by, node, _peer: peer };
            if by == AttachedBy::Tcx
                && stage.node.run(|| tcx_links(stage.device(), BPF_TCX_INGRESS)).expect("done").is_err()
            {
                eprintln!("skipped: this kernel has no tcx");
                continue;
            }
            test(&stage);
            stage.assert_untouched();
        }
    }

    fn open(&self) -> Kernel {
        let clsact = self.by == AttachedBy::Clsact;
        Kernel::open(&Options { clsact, ..self.lab.options() }).expect("done")
    }

    fn device(&self) -> u32 {
        self.node.device_index("eth0").expect("done")
    }

    /// Numbers of what the kernel runs on a device, by hook: ids of links, or handles of filters.
    fn running(&self, device: u32) -> [Vec<u32>; 2] {
        self.node
            .run(|| match self.by {
                AttachedBy::Tcx => {
                    [BPF_TCX_INGRESS, BPF_TCX_EGRESS].map(|hook| tcx_links(device, hook).unwrap_or_default())
                }
                AttachedBy::Clsact => HOOKS.map(|hook| {
                    filters(device, hook).iter().map(|filter| u32::from(filter.priority)).collect()
                }),
            })
            .expect("done")
    }

    /// That neither programs, qdiscs nor pins are left on the node.
    fn assert_untouched(&self) {
        for name in ["eth0", "lo"] {
            let Ok(device) = self.node.device_index(name) else { continue };
            assert_eq!(self.running(device), NOTHING, "{name}");
        }
        assert_eq!(
            self.node.run(|| Tc::open().expect("done").clsact_devices().expect("done")).expect("done"),
            [0_u32; 0]
        );
        assert_eq!(self.pins(), [""; 0]);
    }

    /// Names of the pins of links to devices.
    fn pins(&self) -> Vec<String> {
        let links = self.lab.pin_path().join(format!("v{}/links", proxy_common::abi::ABI_VERSION));
        let entries =
            fs::read_dir(links).map(|entries| entries.map(Result::unwrap).collect()).unwrap_or(vec![]);
        let names = entries.iter().map(|entry| entry.file_name().into_string().expect("done"));
        let mut names: Vec<_> = names.filter(|name| name.contains('-')).collect();
        names.sort();
        names
    }

    fn assert_peer_answers(&self) {
        let peer = IpAddr::from([192, 0, 2, 2]);
        self.node.run(|| ping(peer, Duration::from_secs(2))).expect("done").expect("an answer");
    }
}

fn filters(device: u32, hook: TcHook) -> Vec<Filter> {
    let filters = Tc::open().expect("done").filters(device, hook).expect("done");
    filters.into_iter().filter(|filter| filter.handle != 0).collect()
}

fn entry(mtu: u32) -> DeviceEntry {
    DeviceEntry { mtu, ..DeviceEntry::default() }
}

fn attached(stage: &Stage, kernel: &mut Kernel) -> Vec<DeviceAttachment> {
    stage.node.run(|| kernel.packets().attached()).expect("done").expect("done")
}

#[test]
fn a_device_is_attached_to_adopted_replaced_and_left_without_a_trace() {
    Stage::each(|stage| {
        let device = stage.device();
        let mut kernel = stage.open();
        assert_eq!(attached(stage, &mut kernel), []);
        stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        let [first] = attached(stage, &mut kernel)[..] else { panic!("one device") };
        assert!(first.is_effective(), "{first:?}");
        assert_eq!((first.device, first.by, first.entry), (device, Some(stage.by), Some(entry(1500))));
        assert_eq!(stage.pins().len(), if stage.by == AttachedBy::Tcx { 2 } else { 0 });
        stage.assert_peer_answers();
        let places = stage.running(device);

        // The same programs again: only the entry changes.
        stage.node.run(|| kernel.packets().attach(device, &entry(1400))).expect("done").expect("done");
        assert_eq!(attached(stage, &mut kernel), [DeviceAttachment { entry: Some(entry(1400)), ..first }]);
        stage.node.run(|| kernel.packets().publish(device, &entry(1300))).expect("done").expect("done");
        let now = DeviceAttachment { entry: Some(entry(1300)), ..first };
        drop(kernel);

        // Nobody is there, and all goes on.
        let reader = Kernel::read_only(&stage.lab.pin_path()).expect("done");
        assert_eq!(stage.node.run(|| reader.attached_devices()).expect("done").expect("done"), [now]);
        let mut kernel = stage.open();
        assert_eq!(attached(stage, &mut kernel), [now]);
        stage.node.run(|| kernel.packets().attach(device, &entry(1300))).expect("done").expect("done");
        let [replaced] = attached(stage, &mut kernel)[..] else { panic!("one device") };
        assert!(replaced.is_effective() && replaced.by == now.by && replaced.entry == now.entry);
        assert!(
            replaced.ingress != now.ingress && replaced.egress != now.egress,
            "programs of the new agent"
        );
        assert_eq!(stage.running(device), places, "in place");
        stage.assert_peer_answers();

        stage.node.run(|| kernel.packets().detach(device)).expect("done").expect("done");
        assert_eq!(attached(stage, &mut kernel), []);
        stage.assert_untouched();
        stage.node.run(|| kernel.packets().detach(device)).expect("done").expect("a second time");
    });
}

#[test]
fn what_others_detached_is_attached_again_and_meanwhile_nothing_is_translated_by_halves() {
    Stage::each(|stage| {
        let device = stage.device();
        let mut kernel = stage.open();
        stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        stage.node.run(|| detach_egress(stage, device)).expect("done");
        let [half] = attached(stage, &mut kernel)[..] else { panic!("one device") };
        assert!(half.ingress.is_some() && half.egress.is_none() && !half.is_effective());
        stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        let [whole] = attached(stage, &mut kernel)[..] else { panic!("one device") };
        assert!(whole.is_effective() && whole.ingress == half.ingress);

        // It cannot be attached to: the device is gone, which takes the programs along.
        stage.node.remove_device("eth0").expect("done");
        let error =
            stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").unwrap_err();
        assert!(error.is_gone() && !error.is_environment(), "{error}");
        assert!(error.to_string().contains(&format!("device {device}")), "{error}");
        for trace in attached(stage, &mut kernel) {
            assert_eq!(
                trace,
                DeviceAttachment { device, by: None, ingress: None, egress: None, entry: None }
            );
        }
        stage.node.run(|| kernel.packets().detach(device)).expect("done").expect("done");
        assert_eq!(attached(stage, &mut kernel), []);
    });
}

fn detach_egress(stage: &Stage, device: u32) {
    match stage.by {
        AttachedBy::Tcx => {
            let links = stage.lab.pin_path().join(format!("v{}/links", proxy_common::abi::ABI_VERSION));
            LinkFd::open(&links.join(format!("egress-{device}"))).expect("done").detach().expect("done");
        }
        AttachedBy::Clsact => {
            let filter = &filters(device, TcHook::Egress)[0];
            Tc::open()
                .expect("done")
                .remove_filter(device, TcHook::Egress, (filter.priority, filter.handle))
                .expect("done");
        }
    }
}

#[test]
fn a_device_that_vanished_leaves_pins_that_are_cleared_and_its_successor_is_attached_to() {
    Stage::each(|stage| {
        let gone = stage.device();
        let mut kernel = stage.open();
        stage.node.run(|| kernel.packets().attach(gone, &entry(1500))).expect("done").expect("done");
        stage.node.remove_device("eth0").expect("done");
        let [trace] = attached(stage, &mut kernel)[..] else { panic!("a trace") };
        assert_eq!((trace.device, trace.by, trace.entry), (gone, None, Some(entry(1500))));
        assert!(!trace.is_effective());
        stage.node.connect("eth0", &stage._peer, "eth0").expect("done");
        let device = stage.device();
        assert_ne!(device, gone);
        stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        stage.node.run(|| kernel.packets().detach(gone)).expect("done").expect("done");
        let [left] = attached(stage, &mut kernel)[..] else { panic!("one device") };
        assert!(left.is_effective() && left.device == device);
        stage.node.run(|| kernel.packets().detach(device)).expect("done").expect("done");
    });
}

#[test]
fn another_namespaces_device_of_the_same_index_is_another_device() {
    Stage::each(|stage| {
        let other = Namespace::new("other").expect("done");
        other.connect("eth0", &stage._peer, "eth1").expect("done");
        let device = stage.device();
        assert_eq!(other.device_index("eth0").expect("done"), device);
        let mut kernel = stage.open();
        other.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        let seen = attached(stage, &mut kernel);
        assert!(seen.iter().all(|device| !device.is_effective() && device.by.is_none()), "{seen:?}");
        stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        assert!(attached(stage, &mut kernel)[0].is_effective());
        stage.node.run(|| kernel.packets().detach(device)).expect("done").expect("done");
    });
}

#[test]
fn what_others_have_attached_stays_and_runs_after_ours() {
    Stage::each(|stage| {
        let device = stage.device();
        let mut kernel = stage.open();
        stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        // The kernel refuses one program twice at one hook, so the other one plays the foreigner.
        let own = attached(stage, &mut kernel)[0].egress.expect("done");
        let programs = aya::programs::loaded_programs().filter_map(Result::ok);
        let program =
            programs.filter(|program| program.id() == own).map(|program| program.fd().expect("done")).next();
        let program = program.expect("done");
        stage.node.run(|| kernel.packets().detach(device)).expect("done").expect("done");

        let foreign = stage
            .node
            .run(|| {
                let mut tc = Tc::open().expect("done");
                tc.add_clsact(device).expect("done");
                for hook in HOOKS {
                    tc.put_filter(device, hook, (1, 1), "somebody's", program.as_fd()).expect("done");
                }
                let before = HOOKS.map(|hook| filters(device, hook));
                let link = (stage.by == AttachedBy::Tcx)
                    .then(|| LinkFd::create_tcx(program.as_fd(), device, BPF_TCX_INGRESS).expect("done"));
                (before, link)
            })
            .expect("done");
        let (before, link) = foreign;
        let link_id = link.as_ref().map(|link| link.tcx_info().expect("done").expect("done").link_id);
        stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        stage.assert_peer_answers();
        let [ingress, egress] = stage.running(device);
        match link_id {
            Some(id) => {
                assert!(
                    ingress.len() == 2 && ingress[1] == id && egress.len() == 1,
                    "{ingress:?} {egress:?}"
                );
            }
            None => assert_eq!([ingress, egress], [[1, 2], [1, 2]], "a priority of its own"),
        }
        drop(kernel);
        stage.node.run(|| remove(&stage.lab.pin_path())).expect("done").expect("done");
        assert_eq!(stage.node.run(|| HOOKS.map(|hook| filters(device, hook))).expect("done"), before);
        if let Some(id) = link_id {
            let links = stage.node.run(|| tcx_links(device, BPF_TCX_INGRESS).expect("done")).expect("done");
            assert!(links.contains(&id));
        }
        drop(link);
        stage.node.run(|| Tc::open().expect("done").remove_clsact(device).expect("done")).expect("done");
        wait_until(|| stage.running(device) == NOTHING);
    });
}

#[test]
fn removing_everything_takes_programs_of_all_versions_from_all_devices() {
    Stage::each(|stage| {
        let lo = stage.node.device_index("lo").expect("done");
        let mut kernel = stage.open();
        for device in [stage.device(), lo] {
            stage.node.run(|| kernel.packets().attach(device, &entry(1500))).expect("done").expect("done");
        }
        drop(kernel);
        stage.node.run(|| remove(&stage.lab.pin_path())).expect("done").expect("done");
        assert!(!stage.lab.pin_path().exists());
        wait_until(|| stage.running(lo) == NOTHING && stage.running(stage.device()) == NOTHING);
        stage.assert_untouched();
        stage.node.run(|| remove(&stage.lab.pin_path())).expect("done").expect("a second time");
    });
}

#[test]
fn filters_of_another_version_go_when_told_and_those_of_another_pin_path_stay() {
    let Some(lab) = Lab::new() else { return };
    let node = Namespace::new("node").unwrap();
    let device = node.device_index("lo").unwrap();
    let kernel = Kernel::open(&Options { clsact: true, ..lab.options() }).unwrap();
    let (_maps, mut programs) = kernel.split();
    node.run(|| {
        programs.packets().attach(device, &entry(1500)).unwrap();
        let own = filters(device, TcHook::Ingress);
        let [Filter { name: Some(name), program_id: Some(id), .. }] = &own[..] else { panic!("{own:?}") };
        let version = format!("/v{}/", proxy_common::abi::ABI_VERSION);
        assert!(name.contains(&version) && name.ends_with("/links/ingress"), "{name}");
        let program =
            aya::programs::loaded_programs().filter_map(Result::ok).find(|p| p.id() == *id).unwrap();
        let program = program.fd().unwrap();
        let mut tc = Tc::open().unwrap();
        let former = name.replace(&version, "/v1/");
        let elsewhere = name.replace("/shunt/", "/other/");
        for (priority, name) in [(7, &former), (8, &elsewhere)] {
            tc.put_filter(device, TcHook::Ingress, (priority, 1), name, program.as_fd()).unwrap();
        }
        programs.remove_other_versions().unwrap();
        let left: Vec<_> =
            filters(device, TcHook::Ingress).into_iter().filter_map(|filter| filter.name).collect();
        assert_eq!(left, [name.clone(), elsewhere]);
        programs.packets().detach(device).unwrap();
        assert_eq!(filters(device, TcHook::Ingress).len(), 1, "the qdisc stays for the other");
    })
    .unwrap();
}

#[test]
fn a_change_of_ways_leaves_no_program_of_the_other_way() {
    let Some(lab) = Lab::new() else { return };
    let node = Namespace::new("node").expect("done");
    let device = node.device_index("lo").expect("done");
    if node.run(|| tcx_links(device, BPF_TCX_INGRESS)).expect("done").is_err() {
        eprintln!("skipped: this kernel has no tcx");
        return;
    }
    for clsact in [false, true, false] {
        let mut kernel = Kernel::open(&Options { clsact, ..lab.options() }).expect("done");
        node.run(|| {
            kernel.packets().attach(device, &entry(1500)).expect("done");
            let by = if clsact { AttachedBy::Clsact } else { AttachedBy::Tcx };
            let [attachment] = kernel.packets().attached().expect("done")[..] else { panic!("one device") };
            assert!(attachment.is_effective() && attachment.by == Some(by), "{attachment:?}");
            assert_eq!(tcx_links(device, BPF_TCX_INGRESS).expect("done").len(), usize::from(!clsact));
            assert_eq!(Tc::open().expect("done").clsact_devices().expect("done").len(), usize::from(clsact));
        })
        .expect("done");
    }
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
