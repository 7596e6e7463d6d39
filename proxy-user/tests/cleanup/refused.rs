//! What kube-proxy left routes Services until something else does: it goes only where Shunt serves, or by force.

use crate::{
    command::{Site, copy_examples, shunt, signal, skipped},
    node::{Kind, TestNode},
};
use rustix::process::Signal;
use shunt::lab::{Cgroup, Namespace};
use std::{fs, net::TcpListener};

#[test]
fn it_goes_only_where_shunt_serves() {
    if skipped() {
        return;
    }
    let (site, node) = (Site::new(), TestNode::new(Kind::Nft));
    let (pins, cgroup) = (site.pins(), site.cgroup.path().to_str().unwrap().to_owned());
    let args = ["--kube-proxy", "--pin-path", &pins, "--cgroup", &cgroup];
    node.run("nft add table ip kube-proxy");
    // Something else that makes nf_conntrack translate.
    node.run("iptables -t nat -A POSTROUTING -s 10.244.0.0/16 -j MASQUERADE");
    let refused = node.cleanup(&args);
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{}", refused.err);
    assert!(
        refused.err.contains("Shunt does not serve here") && refused.err.contains("--force"),
        "{}",
        refused.err
    );
    let dry = node.cleanup(&[&args[..], &["--dry-run"]].concat());
    assert_eq!((dry.code, dry.out.as_str()), (Some(0), "would remove nftables table ip kube-proxy\n"));
    assert!(dry.err.contains("Shunt does not serve here"), "{}", dry.err);

    // Programs are in effect, and know nothing.
    let kubeconfig = site.directory.path().join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}], \
                clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {}}]}";
    fs::write(&kubeconfig, text).unwrap();
    let mut command = shunt(&["run", "--node", "lab-node", "--interfaces", "none", "--pin-path", &pins]);
    command.args(["--cgroup", &cgroup, "--healthz-address", "", "--metrics-address", "", "--kubeconfig"]);
    command.arg(&kubeconfig);
    node.namespace.enter_command(&mut command);
    let mut agent = site.begin_command(command);
    agent.wait_for("begun: ");
    let unlisted = node.cleanup(&args);
    assert_eq!((unlisted.code, unlisted.out.as_str()), (Some(2), ""), "{}", unlisted.err);
    assert!(unlisted.err.contains("has not programmed all that is in the cluster yet"), "{}", unlisted.err);
    agent.stop();
    let left = node.cleanup(&args);
    assert!(left.code == Some(2) && left.err.contains("(no agent runs)"), "{}", left.err);

    site.save("empty.json", r#"{"apiVersion": "v1", "kind": "List", "items": []}"#);
    let start = |interfaces| {
        let mut command = site.run(&site.manifests(), &["--interfaces", interfaces]);
        node.namespace.enter_command(&mut command);
        site.start_command(command)
    };
    let agent = start("none");
    let empty = node.cleanup(&args);
    assert!(empty.code == Some(2) && empty.err.contains("knows of no Service"), "{}", empty.err);
    assert!(agent.stop().success());

    fs::remove_file(site.manifests().join("empty.json")).unwrap();
    copy_examples(&site.manifests());
    let mut agent = start("up*");
    // It does not see the device come.
    signal(agent.id(), Signal::STOP);
    let world = Namespace::new("world").unwrap();
    node.namespace.connect("up0", &world, "down0").unwrap();
    let bare = node.cleanup(&args);
    signal(agent.id(), Signal::CONT);
    assert!(bare.code == Some(2) && bare.err.contains("those of up0 should be"), "{}", bare.err);
    assert!(agent.stop().success());
    let agent = start("none");
    let other = Cgroup::new().unwrap();
    let wrong =
        node.cleanup(&["--kube-proxy", "--pin-path", &pins, "--cgroup", other.path().to_str().unwrap()]);
    assert_eq!(wrong.code, Some(2), "of another cgroup: {}", wrong.err);
    assert!(wrong.err.contains("is not in effect"), "{}", wrong.err);
    let done = node.cleanup(&args);
    assert_eq!(
        (done.code, done.out.as_str()),
        (Some(0), "removed nftables table ip kube-proxy\n"),
        "{}",
        done.err
    );
    assert!(agent.stop().success());

    // Both at once: nothing serves after it.
    node.run("nft add table ip kube-proxy");
    let both = [&args[..], &["--shunt"]].concat();
    let refused = node.cleanup(&both);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("Shunt is to go too"), "{}", refused.err);
    let done = node.cleanup(&[&both[..], &["--force"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(!std::path::Path::new(&pins).exists() && !node.rules().contains("kube-proxy"));
}

/// As in a pod that does not mount it, and may write nowhere.
#[test]
fn without_the_lock_of_iptables_legacy_its_tables_stay() {
    if skipped() {
        return;
    }
    let node = TestNode::new(Kind::Legacy);
    node.run("iptables -t nat -N KUBE-SERVICES");
    node.run("iptables -t nat -A OUTPUT -j KUBE-SERVICES");
    let before = node.rules();
    let cleanup = |more: &str| {
        let inside = "mount --make-rprivate / && mount -t tmpfs -o ro none /run && exec \"$@\"";
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", inside, "sh", crate::command::PROGRAM, "cleanup"]);
        command.args(["--pin-path", "/sys/fs/bpf/no-such-shunt", "--kube-proxy", more]);
        node.namespace.enter_command(&mut command);
        crate::command::Said::from(command.output().unwrap())
    };
    let refused = cleanup("--cgroup=/sys/fs/cgroup");
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{}", refused.err);
    assert!(refused.err.contains("/run/xtables.lock, which keeps other users"), "{}", refused.err);
    assert_eq!(node.rules(), before);
    let forced = cleanup("--force");
    assert_eq!(forced.code, Some(0), "{}", forced.err);
    assert!(!node.rules().contains("KUBE-SERVICES"));
}

#[test]
fn a_listener_on_its_ports_is_taken_for_kube_proxy() {
    if skipped() {
        return;
    }
    let node = TestNode::new(Kind::Nft);
    node.run("nft add table ip6 kube-proxy");
    let _listener = node.namespace.run(|| TcpListener::bind("127.0.0.1:10256").unwrap()).unwrap();
    let refused = node.cleanup(&["--kube-proxy"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("port 10256 is in use, by kube-proxy as a rule"), "{}", refused.err);
}

#[test]
fn connections_that_would_end_are_spoken_of_first() {
    if skipped() {
        return;
    }
    let node = TestNode::new(Kind::Nft);
    let table = "add table ip kube-proxy
         add chain ip kube-proxy nat-output { type nat hook output priority -100; }";
    node.run_with("nft", &["-f", "-"], table);
    let says = "nothing but the nftables table ip kube-proxy makes nf_conntrack translate here";
    let alone = node.cleanup(&["--kube-proxy"]);
    assert!(alone.code == Some(2) && alone.err.contains(says), "{}", alone.err);
    node.run_with(
        "nft",
        &["-f", "-"],
        "add table inet other
         add chain inet other nat { type nat hook postrouting priority 100; }",
    );
    let beside = node.cleanup(&["--kube-proxy"]);
    assert!(!beside.err.contains(says), "{}", beside.err);
    let done = node.cleanup(&["--kube-proxy", "--force"]);
    assert_eq!(done.out, "removed nftables table ip kube-proxy\n", "{}", done.err);
}

#[test]
fn options_of_the_one_are_refused_without_it() {
    for args in [["--force"], ["--shunt"]] {
        let output = shunt(&["cleanup"]).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains("--kube-proxy"));
    }
}
