//! The command line at its edges: help, exit codes, one-line errors, and an agent that meets bad manifests,
//! a second agent and full maps.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

mod command;
mod golden;

use command::{Said, Site, copy_examples, examples, said, shunt, skipped, wait_until};
use std::{
    fs, io::ErrorKind, os::unix::fs::PermissionsExt, os::unix::process::CommandExt, path::Path,
    process::Command,
};

const COMMANDS: [&str; 12] = [
    "run",
    "config",
    "plan",
    "explain",
    "dump",
    "status",
    "doctor",
    "trace",
    "top",
    "cleanup",
    "mount-bpffs",
    "demo",
];

/// A cluster that has one of everything, as node n1 sees it.
fn cluster() -> String {
    golden::path("cluster.yaml").to_str().unwrap().to_owned()
}

/// Exit code 2 and one line on standard error that has all of these texts.
fn is_refused(said: &Said, texts: &[&str]) {
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{}", said.err);
    assert_eq!(said.err.lines().count(), 1, "{}", said.err);
    for text in texts {
        assert!(said.err.contains(text), "{text:?} is not in: {}", said.err);
    }
}

#[test]
fn every_help_has_an_example() {
    for command in [&[][..]].into_iter().chain(COMMANDS.each_ref().map(std::slice::from_ref)) {
        let said = said(&[command, &["--help"]].concat());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
        let example = said.out.split_once("\nExample:\n").expect("an example").1;
        let called = format!("shunt {}", command.concat());
        assert!(example.contains(called.trim_end()), "{example}");
    }
}

#[test]
fn a_manifest_path_that_is_not_there_is_one_line_and_exit_code_2() {
    let path = "/no/such/manifests";
    for args in [
        &["plan", "--node", "n", "--manifests", path][..],
        &["run", "--node", "n", "--manifests", path],
        &["run", "--node", "n", "--manifests", &examples(), path],
        &["demo", "--manifests", path],
    ] {
        is_refused(&said(args), &["/no/such/manifests: stat: No such file or directory (os error 2)\n"]);
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_names_the_argument() {
    let manifests = examples();
    let plan = ["plan", "--node", "n", "--manifests", &manifests];
    for (args, text) in [
        (&["plan", "--manifests", &manifests][..], "--node <NAME>"),
        (&["run", "--manifests", &manifests], "--node <NAME>"),
        (&["run", "--node", "n", "--manifests", &manifests, "--kubeconfig", "k"], "--kubeconfig <PATH>"),
        (&["run", "--startup-spread", "10"], "--startup-spread <DURATION>"),
        (&["run", "--relist-guard", "101"], "--relist-guard <PERCENT>"),
        (&["run", "--api-server", "10.0.0.1:6443"], "--api-server <URL>"),
        (&["run", "--metrics-address", ":10249"], "--metrics-address <ADDRESS:PORT>"),
        (&["explain", "10.96.0.10:80", "--external-ips", "false"], "--manifests <PATH>..."),
        (&[&plan[..], &["--max-endpoints", "0"]].concat(), "--max-endpoints <N>"),
        (&[&plan[..], &["--log", "inof"]].concat(), "--log <LEVEL>"),
        (&[&plan[..], &["--log", "shunt=loud"]].concat(), "--log <LEVEL>"),
        (
            &[&plan[..], &["--nodeport-addresses", "10.0.0.0/33"]].concat(),
            "--nodeport-addresses <primary|all|CIDR",
        ),
        (&[&plan[..], &["--localhost-nodeports", "perhaps"]].concat(), "--localhost-nodeports <BOOL>"),
        (&[&plan[..], &["--external-ips", "perhaps"]].concat(), "--external-ips <BOOL>"),
        (&["sing"], "unrecognized subcommand 'sing'"),
    ] {
        let said = said(args);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(said.err.contains(text), "{args:?}: {}", said.err);
    }
}

#[test]
fn a_user_without_privileges_is_told_what_is_missing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    // The checkout may be where nobody can read it.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = directory.path().join("shunt");
    fs::copy(command::PROGRAM, &program).unwrap();
    let manifests = directory.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    fs::set_permissions(&manifests, fs::Permissions::from_mode(0o755)).unwrap();
    copy_examples(&manifests);
    let nobody = |args: &[&str]| -> Said {
        let mut command = Command::new(&program);
        command.args(args).arg("--manifests").arg(&manifests).env_remove("SHUNT_SKIP_LAB");
        command.uid(65_534).gid(65_534);
        // A process that another test was starting may still have the copy open for writing.
        let mut said = None;
        wait_until("the copy can be executed", || {
            let output = command.output();
            let busy = output.as_ref().is_err_and(|error| error.kind() == ErrorKind::ExecutableFileBusy);
            said = (!busy).then(|| output.unwrap().into());
            said.is_some()
        });
        said.unwrap()
    };
    is_refused(&nobody(&["run", "--node", "n"]), &["run as root", "CAP_BPF"]);
    is_refused(&nobody(&["demo"]), &["needs root"]);
    // What touches no kernel works for everyone.
    let plan = nobody(&["plan", "--node", "lab-node"]);
    assert_eq!((plan.code, plan.err.as_str()), (Some(0), ""));
    assert!(plan.out.contains("default/web:http"), "{}", plan.out);
}

#[test]
fn a_node_that_no_manifest_names_is_told_where_its_node_ports_answer() {
    let plan = said(&["plan", "--node", "nosuch", "--manifests", &examples()]);
    assert_eq!(plan.code, Some(0));
    assert!(plan.err.contains("no Node nosuch with addresses is known"), "{}", plan.err);
    assert!(plan.err.contains("--nodeport-addresses all"), "{}", plan.err);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error_message() {
    for output in ["json", "table"] {
        let mut command = shunt(&["plan", "--node", "lab-node", "--manifests", &examples(), "-o", output]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said: Said = command.stdout(writer).output().unwrap().into();
        assert_eq!((said.code, said.err.as_str()), (Some(141), ""));
    }
}

#[test]
fn plans_that_were_read_by_people() {
    let (examples, cluster) = (examples(), cluster());
    for (name, node, manifests) in [("examples", "lab-node", &examples), ("cluster", "n1", &cluster)] {
        for (output, ending) in [("json", "json"), ("table", "txt")] {
            let said =
                said(&["plan", "--node", node, "--manifests", manifests, "-o", output, "--log", "error"]);
            assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
            golden::compare(&format!("plan-{name}.{ending}"), &said.out);
        }
    }
}

#[test]
fn a_plan_names_what_two_services_claim() {
    let said = said(&["plan", "--node", "n1", "--manifests", &cluster()]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let warnings: Vec<_> = said.err.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{}", said.err);
    let text = "198.51.100.10:80 is claimed by default/young:http TCP IPv4 too, and default/web:http TCP IPv4 has it";
    assert!(warnings[0].contains(text), "{}", said.err);
}

#[test]
fn a_zone_on_the_command_line_is_the_nodes() {
    let cluster = cluster();
    let plan = |args: &[&str]| {
        said(&[&["plan", "--node", "n1", "--log", "error", "--manifests", &cluster], args].concat()).out
    };
    assert!(plan(&["--zone", "zone-b"]).starts_with("node n1, zone zone-b: "), "in place of the manifest's");
    let (with, without) = (plan(&["--zone", "zone-b"]), plan(&[]));
    let zonal = |plan: &str| plan.lines().find(|line| line.contains("/zonal:")).unwrap().to_owned();
    assert!(zonal(&with).contains("10.244.3.52:8080") && zonal(&without).contains("10.244.2.51:8080"));
}

#[test]
fn node_ports_answer_on_the_command_lines_address_of_the_node() {
    let cluster = cluster();
    let verdict = |args: &[&str]| -> String {
        let said = said(&[&["explain", "192.0.2.77:30080", "--from", "external"], args].concat());
        assert_eq!(said.code, Some(0), "{}", said.err);
        said.out.lines().next().unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    let manifests = ["--node", "n1", "--log", "error", "--manifests", &cluster];
    assert_eq!(verdict(&manifests), "pass", "its Node does not name it");
    assert_eq!(verdict(&[&manifests[..], &["--node-ip", "fd00:77::77,192.0.2.77"]].concat()), "forward");
    let wrong = said(&[&["plan"], &manifests[..], &["--node-ip", "127.0.0.1"]].concat());
    assert!(wrong.code == Some(2) && wrong.err.contains("--node-ip <IP,...>"), "{}", wrong.err);
    if skipped() {
        return;
    }
    let site = Site::new();
    for (args, wanted) in [(&[][..], "pass"), (&["--node-ip", "192.0.2.77"], "forward")] {
        assert_eq!(site.start(Path::new(&cluster), args).stop().code(), Some(0));
        assert_eq!(verdict(&["--pin-path", &site.pins()]), wanted, "the agent too");
    }
}

#[test]
fn what_is_left_out_of_a_plan_is_exit_code_1() {
    let said = said(&["plan", "--node", "n", "--manifests", &examples(), "--max-endpoints", "16"]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.out.contains("default/web:http"), "what fits is shown: {}", said.out);
    assert!(said.err.contains("kube-system/kube-dns"), "what does not is named: {}", said.err);
}

#[test]
fn the_kernel_holds_what_the_plan_shows() {
    if skipped() {
        return;
    }
    let (site, manifests) = (Site::new(), examples());
    let plan = said(&["plan", "--node", "lab-node", "--manifests", &manifests, "-o", "json"]);
    let mut agent = site.start(Path::new(&manifests), &[]);
    assert!(!agent.log().contains('\x1b'), "no colour in a file: {}", agent.log());
    assert_eq!(site.dump(), plan.out);
    let (pins, cgroup) = (site.pins(), site.cgroup.path().to_str().unwrap());
    let status = said(&["status", "--pin-path", &pins, "--cgroup", cgroup]);
    assert_eq!((status.code, status.err.as_str()), (Some(0), ""), "{}", status.out);
    assert!(status.out.contains("in effect") && !status.out.contains("NOT"), "{}", status.out);

    // The agent ends, what it programmed stays, and the next one has nothing to write.
    agent.wait_for("ready: ");
    assert_eq!(agent.stop().code(), Some(0));
    assert_eq!(site.dump(), plan.out);
    let mut next = site.start(Path::new(&manifests), &[]);
    let line = next.wait_for("ready: ");
    assert!(line.contains("stores=0 frontends=0"), "{line}");
    assert_eq!(site.dump(), plan.out);

    shunt::kernel::remove(Path::new(&pins)).expect_err("an agent holds it");
    drop(next);
    shunt::kernel::remove(Path::new(&pins)).unwrap();
    let gone = said(&["dump", "--pin-path", &pins]);
    assert_eq!((gone.code, gone.out.as_str()), (Some(2), ""));
    assert!(gone.err.contains("no agent has used this pin path"), "{}", gone.err);
}

#[test]
fn a_path_that_is_no_cgroup2_is_refused() {
    if skipped() {
        return;
    }
    let site = Site::new();
    for path in ["/tmp", "/no/such/cgroup"] {
        let args = ["run", "--node", "n", "--manifests", &examples(), "--pin-path", &site.pins()];
        is_refused(&said(&[&args[..], &["--cgroup", path]].concat()), &[path, "cgroup v2", "mounted at"]);
        assert!(!Path::new(&site.pins()).exists(), "nothing was made");
    }
    let cgroup = site.cgroup.path().to_str().unwrap();
    let args = ["run", "--node", "n", "--manifests", &examples(), "--cgroup", cgroup];
    is_refused(&said(&[&args[..], &["--pin-path", "/tmp/pins"]].concat()), &["/tmp/pins", "mount -t bpf"]);
}

#[test]
fn a_second_agent_is_told_who_holds_the_pin_path() {
    if skipped() {
        return;
    }
    let (site, manifests) = (Site::new(), examples());
    let mut first = site.start(Path::new(&manifests), &[]);
    let second: Said = site.run(Path::new(&manifests), &[]).output().unwrap().into();
    assert_eq!((second.code, second.err.lines().count()), (Some(1), 1), "{}", second.err);
    let holder = format!("{} is in use by process {} (shunt)", site.pins(), first.id());
    assert!(second.err.contains(&holder), "{}", second.err);
    assert_eq!(first.stop().code(), Some(0), "the first was not disturbed");
    assert_eq!(site.start(Path::new(&manifests), &[]).stop().code(), Some(0), "and has let go of it");
}

/// A Service of one port, and a slice with so many endpoints.
fn service(name: &str, number: u8, endpoints: u8) -> String {
    let endpoints: String =
        (1..=endpoints).map(|i| format!("  - addresses: [10.244.{number}.{i}]\n")).collect();
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec:\n  clusterIP: 10.96.0.{number}\n  ports: [{{port: 80}}]\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
         metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}\n\
         addressType: IPv4\nports: [{{name: '', port: 8080}}]\nendpoints:\n{endpoints}"
    )
}

#[test]
fn a_bad_document_costs_that_document_and_nothing_else() {
    if skipped() {
        return;
    }
    let site = Site::new();
    let bad = service("bad", 2, 1).replace("port: 80}", "port: eighty}");
    site.save("mixed.yaml", &format!("{}---\n{bad}---\n{}", service("one", 1, 1), service("three", 3, 1)));
    let mut agent = site.start(&site.manifests(), &[]);
    // The third of six documents.
    let line = agent.wait_for("mixed.yaml, document 3 ");
    for text in ["ERROR", "Service default/bad", "spec.ports[0].port"] {
        assert!(line.contains(text), "{text:?} is not in: {line}");
    }
    let dump = site.dump();
    assert!(dump.contains("10.96.0.1\"") && dump.contains("10.96.0.3\""), "{dump}");
    assert!(!dump.contains("10.96.0.2\""), "{dump}");

    // Repaired while the agent runs, then broken in another way: what it last said stays.
    site.save("mixed.yaml", &format!("{}---\n{}", service("one", 1, 1), service("bad", 2, 2)));
    wait_until("the repaired Service is programmed", || site.dump().contains("10.244.2.2:8080"));
    site.save("mixed.yaml", &format!("{}---\n{{", service("one", 1, 2)));
    agent.wait_for("mixed.yaml, document 3:");
    wait_until("the good document is programmed", || site.dump().contains("10.244.1.2:8080"));
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn a_service_that_does_not_fit_is_named_and_programmed_when_there_is_room() {
    if skipped() {
        return;
    }
    let site = Site::new();
    for (name, number) in [("one", 1), ("two", 2), ("three", 3)] {
        site.save(&format!("{name}.yaml"), &service(name, number, 4));
    }
    let mut agent = site.start(&site.manifests(), &["--max-endpoints", "10"]);
    let served = || -> Vec<&str> {
        let dump = site.dump();
        let has = |name: &&str| dump.contains(&format!("\"name\": \"{name}\""));
        ["one", "two", "three"].into_iter().filter(has).collect()
    };
    let first = served();
    assert_eq!(first.len(), 2, "{first:?}");
    let left_out = ["one", "two", "three"].into_iter().find(|name| !first.contains(name)).unwrap();
    let line = agent.wait_for("ERROR");
    assert!(line.contains(&format!("default/{left_out} TCP IPv4")), "{line}");
    assert!(line.contains("BACKENDS"), "which map is full: {line}");

    // Others are served on: a change of one that fits is programmed.
    let number = 1 + ["one", "two", "three"].iter().position(|name| *name == first[0]).unwrap() as u8;
    site.save(&format!("{}.yaml", first[0]), &service(first[0], number, 5));
    wait_until("a fifth endpoint", || site.dump().contains(&format!("10.244.{number}.5:8080")));

    fs::remove_file(site.manifests().join(format!("{}.yaml", first[1]))).unwrap();
    let line = agent.wait_for("found room");
    assert!(line.contains(&format!("default/{left_out} TCP IPv4")), "{line}");
    wait_until("the other two are served", || served().len() == 2 && served().contains(&left_out));
    assert_eq!(agent.stop().code(), Some(0));
    assert_eq!(agent_errors(&site), 1, "said once, not with every try");
}

#[test]
fn an_agent_names_what_two_services_claim_once() {
    if skipped() {
        return;
    }
    let site = Site::new();
    let claims = |name: &str, number: u8, address: &str| {
        let service = service(name, number, 1);
        service.replacen("spec:\n", &format!("spec:\n  externalIPs: [{address}]\n"), 1)
    };
    for (name, number) in [("one", 1), ("two", 2)] {
        site.save(&format!("{name}.yaml"), &claims(name, number, "198.51.100.1"));
    }
    let mut agent = site.start(&site.manifests(), &["--zone", "zone-a"]);
    let line = agent.wait_for("WARN");
    assert!(line.contains("198.51.100.1:80 is claimed by default/two TCP IPv4 too"), "{line}");
    assert!(line.contains("default/one TCP IPv4 has it"), "{line}");
    assert!(site.dump().contains("\"zone\": \"zone-a\""), "the zone of the command line");

    site.save("three.yaml", &claims("three", 3, "198.51.100.2"));
    site.save("four.yaml", &claims("four", 4, "198.51.100.2"));
    agent.wait_for("198.51.100.2:80 is claimed by default/three TCP IPv4 too");
    assert_eq!(agent.log().matches("WARN").count(), 2, "{}", agent.log());
    assert_eq!(agent.stop().code(), Some(0));
}

fn agent_errors(site: &Site) -> usize {
    fs::read_to_string(site.directory.path().join("log")).unwrap().matches("ERROR").count()
}

#[test]
fn every_command_is_tested_here() {
    let help = said(&["--help"]).out;
    let listed = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let listed: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed, [&COMMANDS[..], &["help"]].concat());
}
