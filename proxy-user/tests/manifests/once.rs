//! Manifests that are loaded once.

use super::*;

#[test]
fn the_examples_are_what_the_demo_needs() {
    let (_, state) = load(&examples());
    assert_eq!(state.problems, [""; 0]);
    assert_eq!(
        state.services(),
        [
            "default/cart=10.96.0.20",
            "default/empty=10.96.0.99",
            "default/web=10.96.0.10",
            "kube-system/kube-dns=10.96.0.53"
        ]
    );
    assert_eq!(state.nodes["lab-node"].zone.as_deref(), Some("zone-a"));

    let addresses = |name: &str| -> Vec<String> {
        let slices = state.slices.values().filter(|slice| slice.service == name);
        let check = |endpoint: &shunt::model::Endpoint| {
            assert_eq!(endpoint.node.as_deref(), Some("lab-node"));
            assert!(endpoint.conditions.ready);
            endpoint.address.to_string()
        };
        slices.flat_map(|slice| slice.endpoints.iter().map(check)).collect()
    };
    let pods = |last: usize| -> Vec<String> {
        let v4 = (1..=last).map(|pod| format!("10.244.0.{}", 10 + pod));
        v4.chain((1..=last).map(|pod| format!("fd00:10:244::{}", 10 + pod))).collect()
    };
    assert_eq!(addresses("web"), pods(3));
    assert_eq!(addresses("cart"), pods(4));
    assert_eq!(addresses("kube-dns"), pods(4));
    assert!(addresses("empty").is_empty());

    for service in state.services.values().filter(|service| service.name.name != "empty") {
        assert_eq!(service.cluster_ips.len(), 2);
        for slice in state.slices.values().filter(|slice| slice.service == service.name.name) {
            let ends: Vec<_> = slice.ports.iter().map(|port| (&port.name, port.protocol)).collect();
            let fronts: Vec<_> = service.ports.iter().map(|port| (&port.name, port.protocol)).collect();
            assert_eq!(ends, fronts, "{}", slice.name);
        }
    }
}

#[test]
fn a_service_cidr_is_known_until_its_document_is_gone() {
    let cidr = "apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: kubernetes}\n\
                spec: {cidrs: [10.96.0.0/12, 'fd00:10:96::/112']}\n";
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(documents(&[service("web", "10.96.0.10"), cidr.to_owned()]).as_bytes()).unwrap();
    let (mut set, mut state) = load(file.path());
    assert_eq!(state.problems, [""; 0]);
    assert_eq!(
        state.cidrs["kubernetes"].cidrs,
        ["10.96.0.0/12", "fd00:10:96::/112"].map(|net| net.parse().unwrap())
    );
    fs::write(file.path(), service("web", "10.96.0.10")).unwrap();
    state.apply(set.reload());
    assert!(state.cidrs.is_empty() && state.services.len() == 1);
}

#[test]
fn a_directory_gives_its_manifests_in_order_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("b.yml", &service("web", "10.0.0.2"));
    write("a.yaml", &service("web", "10.0.0.1"));
    write(
        "c.json",
        r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "json"},
            "spec": {"clusterIP": "10.0.0.3", "ports": [{"port": 80}]}}"#,
    );
    write(".hidden.yaml", &service("hidden", "10.0.0.4"));
    write("notes.txt", &service("text", "10.0.0.5"));
    write("web.yaml~", &service("backup", "10.0.0.6"));
    fs::create_dir(directory.path().join("deeper.yaml")).unwrap();
    symlink("nowhere", directory.path().join("dangling.yaml")).unwrap();

    let (_, state) = load(directory.path());
    assert_eq!(state.services(), ["default/json=10.0.0.3", "default/web=10.0.0.2"]);
    let (a, b) = (directory.path().join("a.yaml"), directory.path().join("b.yml"));
    let place = |path: &Path| format!("{}, document 1 (Service default/web)", path.display());
    let twice = format!("{}: is also at {}; this one, the last, counts", place(&b), place(&a));
    assert_eq!(state.problems, [twice]);

    // A file that is given and found is one file.
    let (_, changes) = ManifestSet::load([directory.path(), &a, &b]).unwrap();
    assert_eq!(State::of(changes), state);
}

#[test]
fn a_bad_document_is_named_and_left_out() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let bad = service("web", "10.0.0.2").replace("80", "http");
    let text = documents(&[service("a", "10.0.0.1"), bad, "a: [\n".into(), service("z", "10.0.0.9")]);
    fs::write(file.path(), text).unwrap();
    let (_, changes) = ManifestSet::load([file.path()]).unwrap();
    assert!(changes.problems.iter().all(|problem| problem.severity == Severity::Error));
    let state = State::of(changes);
    assert_eq!(state.services(), ["default/a=10.0.0.1", "default/z=10.0.0.9"]);
    let name = file.path().display();
    assert_eq!(
        state.problems[0],
        format!(
            "{name}, document 2 (Service default/web): \
             spec.ports[0].port: invalid type: string \"http\", expected i32"
        )
    );
    assert!(state.problems[1].starts_with(&format!("{name}, document 3: ")), "{:?}", state.problems);
    assert!(state.problems[1].contains(" at line 1"), "{:?}", state.problems);
}

#[test]
fn a_list_and_other_kinds() {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    fs::write(
        file.path(),
        r#"{"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": "x"}},
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}]}"#,
    )
    .unwrap();
    let (_, state) = load(file.path());
    assert_eq!(Vec::from_iter(state.nodes.keys()), ["n"]);
    let document = format!("{}, document 1, ", file.path().display());
    let pod = "items[0] (Pod pod): not a kind that a service proxy reads, skipped";
    let web = "items[1] (Service default/web): spec.ports: invalid type: string \"x\", expected a sequence";
    assert_eq!(state.problems, [format!("{document}{pod}"), format!("{document}{web}")]);
}

#[test]
fn paths_that_lead_nowhere_are_errors_that_name_them() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.yaml");
    let expected = format!("{}: stat: No such file or directory (os error 2)", missing.display());
    let paths = [directory.path(), &missing];
    assert_eq!(ManifestSet::load(paths).unwrap_err().to_string(), expected);
    assert_eq!(ManifestWatcher::start(paths).unwrap_err().to_string(), expected);
    let device = ManifestSet::load(["/dev/null"]).unwrap_err();
    assert_eq!(device.to_string(), "/dev/null: stat: is neither a file nor a directory");

    let (_, empty) = load(directory.path());
    let warning = format!("{}: no *.yaml, *.yml or *.json in this directory", directory.path().display());
    assert_eq!(empty.problems, [warning]);
}

#[test]
fn text_that_is_not_utf8_or_has_a_mark_in_front() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("latin.yaml"), b"# caf\xe9\n").unwrap();
    let marked = format!("\u{feff}{}", service("web", "10.0.0.1"));
    fs::write(directory.path().join("mark.yaml"), marked).unwrap();
    let (_, state) = load(directory.path());
    assert_eq!(state.services(), ["default/web=10.0.0.1"]);
    assert_eq!(state.problems.len(), 1);
    assert!(state.problems[0].contains("latin.yaml: is not UTF-8"), "{:?}", state.problems);
}
