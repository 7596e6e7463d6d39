//! `shunt config` and the files of `shunt run`, as a user meets them: what is printed, exit codes, who comes first.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

mod command;
mod golden;

use command::{Said, Site, said, shunt, skipped};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The inputs: configuration files of ours, and kube-proxy's as kubeadm, k3s and EKS write them.
fn inputs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

/// Runs the command beside the inputs, so that they are named alike everywhere.
fn beside(args: &[&str]) -> Said {
    shunt(args).current_dir(inputs()).output().unwrap().into()
}

/// What was printed, and what went wrong after it.
fn whole(said: &Said) -> String {
    format!("{}---\n{}exit code {}\n", said.out, said.err, said.code.unwrap())
}

#[test]
fn what_is_said_of_the_files_of_others() {
    for name in ["kubeadm", "k3s", "eks", "everything"] {
        let file = format!("{name}.yaml");
        let said = beside(&["config", "check", "--node", "n1", "--kube-proxy-config", &file]);
        golden::compare(&format!("config-check-{name}.txt"), &whole(&said));
    }
}

#[test]
fn what_is_said_of_our_own_files() {
    for name in ["good", "bad"] {
        let file = format!("{name}.yaml");
        let node: &[&str] = if name == "good" { &["--node", "n1"] } else { &[] };
        let said = beside(&[&["config", "check", "--config", &file], node].concat());
        golden::compare(&format!("config-check-{name}.txt"), &whole(&said));
    }
}

#[test]
fn the_configuration_is_shown_with_where_it_comes_from_and_can_be_read_again() {
    let args = [
        "--config",
        "good.yaml",
        "--kube-proxy-config",
        "kubeadm.yaml",
        "--max-flows",
        "1000",
        "--node",
        "n1",
    ];
    let shown = beside(&[&["config", "show"], &args[..]].concat());
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    golden::compare("config-show.txt", &shown.out);
    let json = beside(&[&["config", "show", "-o", "json"], &args[..]].concat());
    golden::compare("config-show.json", &json.out);

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shown.yaml");
    fs::write(&file, &shown.out).unwrap();
    let again = beside(&["config", "show", "-o", "json", "--config", file.to_str().unwrap()]);
    let value = |said: &Said| serde_json::from_str::<Value>(&said.out).unwrap()["configuration"].take();
    let mut wanted = value(&json);
    // Its words stand in the file themselves.
    assert_eq!(wanted["kube-proxy-config"].take(), "kubeadm.yaml");
    assert_eq!(value(&again), wanted);
}

#[test]
fn programs_are_told_the_same() {
    let json = |args: &[&str]| -> (Option<i32>, Value) {
        let said = beside(&[&["config", "check", "-o", "json"], args].concat());
        assert_eq!(said.err, "");
        (said.code, serde_json::from_str(&said.out).unwrap())
    };
    let (code, bad) = json(&["--config", "bad.yaml"]);
    let problems = bad["problems"].as_array().unwrap();
    assert_eq!((code, problems.len()), (Some(1), 14));
    assert_eq!(problems[3]["place"], "bad.yaml:4");
    assert!(
        problems[3]["message"].as_str().unwrap().starts_with("invalid value 'lots' for '--max-services <N>'")
    );
    let (code, k3s) = json(&["--kube-proxy-config", "k3s.yaml"]);
    assert_eq!((code, &k3s["problems"]), (Some(0), &serde_json::json!([])));
    let ignored = &k3s["ignored"][0];
    assert_eq!(
        (&ignored["place"], &ignored["what"]),
        (&"k3s.yaml:14".into(), &"clusterCIDR: 10.42.0.0/16".into())
    );
}

#[test]
fn the_help_is_as_it_was_read() {
    for (name, args) in [
        ("run", &["run"][..]),
        ("config", &["config"]),
        ("config-check", &["config", "check"]),
        ("config-show", &["config", "show"]),
    ] {
        let said = said(&[args, &["--help"]].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        golden::compare(&format!("help-{name}.txt"), &said.out);
    }
}

/// The node's name has every source that there is.
#[test]
fn command_line_environment_file_kube_proxys_file_host_in_this_order() {
    let directory = tempfile::tempdir().unwrap();
    let [file, kube_proxy] = ["config.yaml", "kube-proxy.yaml"].map(|name| directory.path().join(name));
    fs::write(&file, "node: by-file\n").unwrap();
    let text = fs::read_to_string(inputs().join("k3s.yaml")).unwrap();
    fs::write(&kube_proxy, text).unwrap();
    let files = ["--config", file.to_str().unwrap(), "--kube-proxy-config", kube_proxy.to_str().unwrap()];
    let node = |args: &[&str], environment: bool| -> (String, String) {
        let mut command = shunt(&[&["config", "show", "-o", "json"], args].concat());
        if environment {
            command.env("NODE_NAME", "by-environment");
        }
        let said: Said = command.output().unwrap().into();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        let json: Value = serde_json::from_str(&said.out).unwrap();
        let text = |part: &str| json[part]["node"].as_str().unwrap().to_owned();
        (text("configuration"), text("sources"))
    };
    let host = rustix::system::uname().nodename().to_str().unwrap().to_lowercase();
    let all = [&files[..], &["--node", "by-flag"]].concat();
    assert_eq!(node(&all, true), ("by-flag".to_owned(), "command line".to_owned()));
    assert_eq!(node(&files, true), ("by-environment".to_owned(), "environment, NODE_NAME".to_owned()));
    assert_eq!(node(&files, false), ("by-file".to_owned(), format!("{}:1", file.display())));
    let (name, source) = node(&files[2..], false);
    assert_eq!(name, "node-1", "in lower case, as kube-proxy takes it");
    assert!(source.ends_with("kube-proxy.yaml:31, hostnameOverride"), "{source}");
    assert_eq!(node(&[], false), (host, "name of the host".to_owned()));
}

#[test]
fn a_file_that_is_wrong_stops_the_agent_before_it_does_anything() {
    let run = beside(&["run", "--config", "bad.yaml"]);
    let check = beside(&["config", "check", "--config", "bad.yaml"]);
    assert_eq!((run.code, run.out.as_str(), check.code), (Some(2), "", Some(1)));
    assert_eq!(run.err, check.err);
    for args in [&["run"][..], &["config", "check"], &["config", "show"]] {
        for option in ["--config", "--kube-proxy-config"] {
            let said = beside(&[args, &[option, "no-such.yaml"]].concat());
            assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
            assert_eq!(said.err, "shunt: no-such.yaml: No such file or directory (os error 2)\n");
        }
        let said = beside(&[args, &["--kube-proxy-config", "good.yaml"]].concat());
        assert!(
            said.err.contains("good.yaml: no kind: neither a KubeProxyConfiguration nor"),
            "{}",
            said.err
        );
        let said = beside(&[args, &["--manifests", "/m"]].concat());
        assert_eq!(said.code, Some(2));
        assert!(said.err.contains("manifests need a node: give --node <NAME>"), "{}", said.err);
        let said = beside(&[args, &["--context", "c"]].concat());
        assert!(said.err.contains("give --kubeconfig <PATH>"), "{}", said.err);
    }
}

/// What `deploy/` mounts as the agent's configuration.
#[test]
fn the_files_of_the_deployment_are_sound() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let overlays = fs::read_dir(deploy.join("overlays")).unwrap().map(|entry| entry.unwrap().path());
    let files = overlays.chain([deploy.join("base")]).map(|directory| directory.join("config.yaml"));
    let files: Vec<_> = files.filter(|file| file.exists()).collect();
    assert!(files.len() > 3, "{files:?}");
    for file in files {
        let said = said(&["config", "check", "--node", "n1", "--config", file.to_str().unwrap()]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", file.display());
    }
}

#[test]
fn an_agent_runs_by_its_file_alone() {
    if skipped() {
        return;
    }
    let site = Site::new();
    command::copy_examples(&site.manifests());
    let (manifests, pins, cgroup) = (site.manifests(), site.pins(), site.cgroup.path().to_owned());
    let kube_proxy = inputs().join("eks.yaml");
    let file = site.directory.path().join("config.yaml");
    let text = format!(
        "manifests: {}\nnode: lab-node\npin-path: {pins}\ncgroup: {}\ninterfaces: none\nhealthz-address: ''\n\
         metrics-address: ''\nmax-services: 100\nkube-proxy-config: {}\n",
        manifests.display(),
        cgroup.display(),
        kube_proxy.display()
    );
    fs::write(&file, text).unwrap();
    let mut agent = site.start_command(shunt(&["run", "--config", file.to_str().unwrap()]));
    let line = agent.wait_for("oomScoreAdj: -998 is not used");
    assert!(line.contains("INFO") && line.contains("eks.yaml:36"), "{line}");
    let line = agent.wait_for("clientConnection.kubeconfig is not used");
    assert!(line.contains("manifests is given") && line.contains("config.yaml:1"), "{line}");
    let plan = said(&[
        "plan",
        "--node",
        "lab-node",
        "--nodeport-addresses",
        "all",
        "-o",
        "json",
        "--manifests",
        manifests.to_str().unwrap(),
    ]);
    let services =
        |text: &str| serde_json::from_str::<Value>(text).unwrap()["services"].as_array().map(Vec::len);
    assert!(services(&site.dump()).is_some());
    assert_eq!(services(&site.dump()), services(&plan.out));
    assert_eq!(agent.stop().code(), Some(0));
}
