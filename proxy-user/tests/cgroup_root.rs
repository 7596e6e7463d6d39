//! Which cgroup is the node's root, on hosts and in containers of every kind. Each case is a process in mount, cgroup and PID
//! namespaces of its own, which looks and attaches nothing. Needs root.
#![cfg(feature = "lab")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

use aya_obj::generated::bpf_attach_type::BPF_CGROUP_INET4_CONNECT;
use shunt::kernel::sys::effective_programs;
use shunt::kernel::{Cgroup, cgroup2_mount_point};
use shunt::lab;
use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;

/// Id of the root of the hierarchy.
const ROOT: &str = "1";

/// What runs in a case's namespaces: it says what it finds. What it opens is PATH, or where the hierarchy is said to be.
#[test]
#[ignore = "runs within the others"]
fn looks() {
    let found = cgroup2_mount_point();
    println!("mount={}", found.as_deref().unwrap_or(Path::new("-")).display());
    let path = std::env::var_os("LOOK_AT").map(Into::into).or(found);
    let path = path.unwrap_or_else(|| "/sys/fs/cgroup".into());
    let cgroup = match Cgroup::open(&path) {
        Ok(cgroup) => cgroup,
        Err(error) => return println!("error={error}"),
    };
    println!("id={}", cgroup.id());
    match cgroup.refuse_narrow() {
        Ok(()) => println!("narrow=no"),
        Err(error) => println!("narrow={error}"),
    }
    if let Ok(meanwhile) = std::env::var("MEANWHILE") {
        assert!(Command::new("sh").args(["-ec", &meanwhile]).status().unwrap().success());
    }
    println!("exists={}", cgroup.exists());
    effective_programs(cgroup.as_fd(), BPF_CGROUP_INET4_CONNECT).expect("programs may be asked for there");
}

/// Runs `set_up` in namespaces of its own, and then looks.
fn found(
    namespaces: &[&str],
    set_up: &str,
    environment: &[(&str, &str)],
) -> Option<BTreeMap<String, String>> {
    if let Err(reason) = lab::available() {
        assert!(std::env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
        eprintln!("skipped: {reason}");
        return None;
    }
    // A container is in a cgroup of its own.
    let cgroup = lab::Cgroup::new().unwrap();
    let exe = std::env::current_exe().unwrap();
    let look = format!("{set_up}\nexec {} --ignored --exact looks --nocapture", exe.display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).args(namespaces);
    command.args(["sh", "-ec", &look]).envs(environment.iter().copied());
    cgroup.enter_command(&mut command);
    let output = command.output().expect("unshare(1)");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines = text.lines().filter_map(|line| line.split_once('='));
    Some(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Nothing but what a case mounts itself.
const BARE: &str = "umount -R /sys/fs/cgroup 2>/dev/null || umount -Rl /sys/fs/cgroup";
const CONTAINER: [&str; 4] = ["--cgroup", "--pid", "--fork", "--mount-proc"];

#[test]
fn a_host_with_cgroup_v2_alone_has_it_at_the_usual_place() {
    let set_up = format!("{BARE}; mount -t cgroup2 none /sys/fs/cgroup");
    let Some(found) = found(&[], &set_up, &[]) else { return };
    assert_eq!((found["mount"].as_str(), found["id"].as_str()), ("/sys/fs/cgroup", ROOT));
    assert_eq!((found["narrow"].as_str(), found["exists"].as_str()), ("no", "true"));
}

#[test]
fn a_hybrid_host_has_it_beside_cgroup_v1_whichever_of_the_two_is_named() {
    let set_up = format!(
        "{BARE}; mount -t tmpfs none /sys/fs/cgroup; mkdir /sys/fs/cgroup/unified
         mount -t cgroup2 none /sys/fs/cgroup/unified"
    );
    for environment in [&[][..], &[("LOOK_AT", "/sys/fs/cgroup")]] {
        let Some(found) = found(&[], &set_up, environment) else { return };
        assert_eq!((found["mount"].as_str(), found["id"].as_str()), ("/sys/fs/cgroup/unified", ROOT));
        assert_eq!(found["narrow"], "no");
    }
}

#[test]
fn on_a_host_with_cgroup_v1_alone_it_is_opened_without_being_mounted() {
    let set_up = format!("{BARE}; mount -t tmpfs none /sys/fs/cgroup");
    // Of the machine that the test runs on, /proc/1 would tell where it is mounted.
    let namespaces = ["--pid", "--fork", "--mount-proc"];
    let Some(host) = found(&namespaces, &set_up, &[]) else { return };
    assert_eq!((host["mount"].as_str(), host["id"].as_str()), ("-", ROOT));
    assert_eq!((host["narrow"].as_str(), host["exists"].as_str()), ("no", "true"));
    // The same in a container that has the host's directory.
    let host = tempfile::tempdir().unwrap();
    let at = host.path().to_str().unwrap();
    let set_up = format!(
        "mount --rbind /sys/fs/cgroup {at}; umount -l {at}/unified; mount -t cgroup -o pids none {at}/pids || true
         {BARE}; mount -t tmpfs none /sys/fs/cgroup"
    );
    let container = found(&namespaces, &set_up, &[("LOOK_AT", at)]).unwrap();
    assert_eq!((container["mount"].as_str(), container["id"].as_str()), ("-", ROOT));
    // Not where the operator has named another place.
    let elsewhere = found(&namespaces, &set_up, &[("LOOK_AT", "/tmp")]).unwrap();
    assert!(elsewhere["error"].contains("/tmp is not in a cgroup v2 hierarchy: mount it"), "{elsewhere:?}");
}

#[test]
fn a_container_that_sees_only_its_own_cgroup_is_told_which_mount_it_needs() {
    let set_up = format!("{BARE}; mount -t cgroup2 none /sys/fs/cgroup");
    let Some(found) = found(&CONTAINER, &set_up, &[]) else { return };
    assert_ne!(found["id"], ROOT);
    let said = &found["narrow"];
    assert!(said.starts_with("/sys/fs/cgroup is this container's own cgroup"), "{said}");
    assert!(said.contains("hostPath") && said.contains("path: /sys/fs/cgroup"), "{said}");
    assert!(said.contains("--cgroup /host/cgroup"), "{said}");
}

#[test]
fn a_container_with_the_nodes_cgroups_mounted_finds_their_root() {
    let host = tempfile::tempdir().unwrap();
    let at = host.path().to_str().unwrap();
    // As deploy/base does: the host's /sys/fs/cgroup at another place, with what is mounted below it.
    let set_up = format!("mount --rbind /sys/fs/cgroup {at}; {BARE}; mount -t cgroup2 none /sys/fs/cgroup");
    for environment in [&[][..], &[("LOOK_AT", at)]] {
        let Some(found) = found(&CONTAINER, &set_up, environment) else { return };
        assert!(found["mount"].starts_with(at), "{found:?}");
        assert_eq!((found["id"].as_str(), found["narrow"].as_str()), (ROOT, "no"));
    }
    // Named wrongly, it is told where to look.
    let wrong = found(&CONTAINER, &set_up, &[("LOOK_AT", "/sys/fs/cgroup")]).unwrap();
    assert!(wrong["narrow"].contains(&format!("give --cgroup {at}")), "{wrong:?}");
}

#[test]
fn a_container_with_the_hosts_process_ids_finds_it_by_them() {
    // The outer shell is the host's first process, and keeps its mounts; what looks is in a container on it.
    let set_up = format!(
        "unshare --mount --cgroup --propagation private sh -ec '{BARE}; mount -t cgroup2 none /sys/fs/cgroup
         exec \"$0\" --ignored --exact looks --nocapture' {}; exit",
        std::env::current_exe().unwrap().display()
    );
    let Some(found) = found(&["--pid", "--fork", "--mount-proc"], &set_up, &[]) else { return };
    assert!(found["mount"].starts_with("/proc/1/root/sys/fs/cgroup"), "{found:?}");
    assert_eq!((found["id"].as_str(), found["narrow"].as_str()), (ROOT, "no"));
}

#[test]
fn a_hierarchy_that_is_unmounted_and_mounted_again_is_the_same_one() {
    let set_up = format!("{BARE}; mount -t cgroup2 none /sys/fs/cgroup");
    for meanwhile in
        ["umount -l /sys/fs/cgroup", "umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup"]
    {
        let Some(found) = found(&[], &set_up, &[("MEANWHILE", meanwhile)]) else { return };
        assert_eq!((found["id"].as_str(), found["exists"].as_str()), (ROOT, "true"), "{meanwhile}");
    }
}
