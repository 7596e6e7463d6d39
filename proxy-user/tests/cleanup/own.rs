//! What is Shunt's goes as a whole: of every version of the maps' ABI, of every instance of them, by links and by filters;
//! what is not Shunt's stays.

use crate::{
    command::{Said, Site, shunt, skipped},
    node::named,
};
use proxy_common::abi::{ABI_VERSION, DeviceEntry};
use shunt::{
    kernel::{Kernel, Options, PROGRAMS},
    lab::Namespace,
};
use std::{fs, path::Path};

const EMPTY: &str = r#"{"apiVersion": "v1", "kind": "List", "items": []}"#;

fn cleanup(node: &Namespace, pins: &str, args: &[&str]) -> Said {
    let mut command = shunt(&["cleanup", "--pin-path", pins]);
    command.args(args);
    node.enter_command(&mut command);
    command.output().unwrap().into()
}

fn device(node: &Namespace) -> u32 {
    let mut command = std::process::Command::new("ip");
    command.args(["link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
    node.enter_command(&mut command);
    assert!(command.status().unwrap().success());
    node.run(|| {
        shunt::kernel::sys::devices().unwrap().iter().find(|device| device.name == "eth0").unwrap().index
    })
    .unwrap()
}

/// Everything below a directory.
fn below(path: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        all.push(entry.path().display().to_string());
        all.extend(below(&entry.path()));
    }
    all.sort();
    all
}

#[test]
fn every_version_and_instance_goes_and_nothing_of_others() {
    if skipped() {
        return;
    }
    for clsact in [true, false] {
        let (site, node) = (Site::new(), Namespace::new("node").unwrap());
        let index = device(&node);
        let pin_path = site.bpffs.path().join("shunt");
        let options = Options {
            cgroup: site.cgroup.path().to_owned(),
            pin_path: pin_path.clone(),
            clsact,
            ..Options::default()
        };
        let mut kernel = Kernel::open(&options).unwrap();
        kernel.attach().unwrap();
        let entry = DeviceEntry { mtu: 1500, ..DeviceEntry::default() };
        node.run(|| kernel.packets().attach(index, &entry).unwrap()).unwrap();
        drop(kernel);

        // A growth that was broken off, one that was not finished, and versions before and after.
        let version = pin_path.join(format!("v{ABI_VERSION}"));
        for (directory, from, name) in [
            (version.join("maps_2"), "maps/NODE", "NODE"),
            (version.join("maps_3_new"), "maps/FLOWS", "FLOWS"),
            (pin_path.join("v1/links"), "links/connect4", "connect4"),
            (pin_path.join("v99/programs/deep"), "maps/EVENTS", "whatever"),
        ] {
            fs::create_dir_all(&directory).unwrap();
            fs::rename(version.join(from), directory.join(name)).unwrap();
        }
        let foreign = pin_path.join("cilium");
        fs::create_dir(&foreign).unwrap();
        let pins = site.pins();
        let there = below(&pin_path);

        let dry = cleanup(&node, &pins, &["--dry-run"]);
        assert_eq!(dry.code, Some(0), "{}", dry.err);
        assert_eq!(below(&pin_path), there, "nothing changes by it");
        let would = named(&dry, "would remove ");
        for trace in there.iter().filter(|trace| Path::new(trace) != foreign) {
            assert!(would.iter().any(|line| line.split(' ').nth(1) == Some(trace)), "{trace}: {would:?}");
        }
        let filters = would.iter().filter(|line| line.starts_with("clsact filter")).count();
        assert_eq!(filters, if clsact { 2 } else { 0 }, "{would:?}");
        assert_eq!(would.len(), there.len() - 1 + filters, "{would:?}");

        let done = cleanup(&node, &pins, &[]);
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert_eq!(named(&done, "removed "), would);
        assert_eq!(below(&pin_path), [foreign.display().to_string()]);
        let qdiscs = node.run(|| shunt::kernel::sys::Tc::open().unwrap().clsact_devices().unwrap()).unwrap();
        assert!(qdiscs.is_empty());
        fs::remove_dir(foreign).unwrap();
    }
}

/// The watchman moves there what lay in the place of our pins.
#[test]
fn what_was_moved_aside_stays_and_is_named() {
    if skipped() {
        return;
    }
    let (site, node) = (Site::new(), Namespace::new("node").unwrap());
    site.save("empty.json", EMPTY);
    assert!(site.start(&site.manifests(), &[]).stop().success());
    let pin_path = site.bpffs.path().join("shunt");
    let aside = pin_path.join("foreign");
    fs::create_dir(&aside).unwrap();
    let pin = aside.join(format!("v{ABI_VERSION}-maps-NODE"));
    fs::rename(pin_path.join(format!("v{ABI_VERSION}/maps/NODE")), &pin).unwrap();
    let done = cleanup(&node, &site.pins(), &[]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains(&format!("{} stays", pin.display())), "{}", done.err);
    assert_eq!(below(&pin_path), [aside.display().to_string(), pin.display().to_string()]);
    fs::remove_file(&pin).unwrap();
    let emptied = cleanup(&node, &site.pins(), &[]);
    assert_eq!((emptied.code, pin_path.exists()), (Some(0), false), "{}{}", emptied.out, emptied.err);
    assert!(named(&emptied, "removed ").contains(&format!("directory {}", aside.display())));
}

#[test]
fn an_agent_that_runs_is_named_and_nothing_is_touched() {
    if skipped() {
        return;
    }
    let (site, node) = (Site::new(), Namespace::new("node").unwrap());
    site.save("empty.json", EMPTY);
    let mut agent = site.start(&site.manifests(), &[]);
    let there = below(site.bpffs.path());
    let id = agent.id();
    for args in [&[][..], &["--kube-proxy", "--shunt", "--force"]] {
        let refused = cleanup(&node, &site.pins(), args);
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{}", refused.err);
        assert!(refused.err.contains(&format!("is in use by process {id} (shunt)")), "{}", refused.err);
    }
    let dry = cleanup(&node, &site.pins(), &["--dry-run"]);
    assert_eq!(dry.code, Some(0));
    assert!(dry.err.contains(&format!("process {id} (shunt)")), "{}", dry.err);
    assert!(named(&dry, "would remove ").len() > PROGRAMS.len());
    assert_eq!(below(site.bpffs.path()), there);
    assert!(agent.stop().success());
    assert_eq!(cleanup(&node, &site.pins(), &[]).code, Some(0));
    assert!(!Path::new(&site.pins()).exists());
    let again = cleanup(&node, &site.pins(), &[]);
    assert_eq!((again.code, again.out.as_str()), (Some(0), ""));
    assert!(again.err.contains("nothing is pinned at"), "{}", again.err);
}
