//! The maps are compared with what an API server says.

use crate::{
    command::skipped,
    fake::{
        api::{Api, NODES, SERVICES, SLICES},
        http::Server,
    },
    scene::{OPEN, Scene},
};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tokio::{runtime::Builder, sync::oneshot};

fn service(name: &str, last: u8) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"clusterIP": format!("10.96.0.{last}"), "ports": [{"name": "http", "port": 80}]},
    })
}

fn slice(name: &str, endpoint: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4", "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [{"addresses": [endpoint]}],
    })
}

fn kubeconfig(path: &Path, server: &str) {
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
         clusters: [{{name: c, cluster: {{server: '{server}'}}}}], users: [{{name: u, user: {{}}}}]}}"
    );
    fs::write(path, text).unwrap();
}

#[test]
fn what_the_api_server_says_is_what_the_maps_should_hold() {
    if skipped() {
        return;
    }
    let scene = Scene::new();
    let api = Api::default();
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "lab-node"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.7"}]},
    });
    [node, service("a", 10), slice("a", "10.244.0.1")].into_iter().for_each(|object| api.put(object));
    let file = scene.site.directory.path().join("kubeconfig");
    let (end, ended) = oneshot::channel::<()>();
    std::thread::scope(|scope| {
        // It listens on the node's own loopback.
        let (api, file, scene) = (&api, &file, &scene);
        scope.spawn(move || {
            let serve = || {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let server = Server::start(api);
                    kubeconfig(file, &server.url());
                    let _ = ended.await;
                });
            };
            scene.node.run(serve).unwrap();
        });
        crate::command::wait_until("it listens", || file.exists());
        let compare = ["--kubeconfig", file.to_str().unwrap()];
        let mut command = scene.follow(file);
        command.args(["--startup-spread", "0s"]).args(OPEN);
        let agent = scene.site.start_command(command);
        let said = scene.diagnosis(&compare);
        assert_eq!((said.code, said.found()), (0, vec![]), "{:#}", said.json["findings"]);
        let facts = said.facts("services");
        assert_eq!((&facts["from"], &facts["wanted"]), (&"the API server".into(), &1.into()));
        drop(agent);

        [service("b", 11), slice("b", "10.244.0.2"), slice("a", "10.244.0.3")]
            .into_iter()
            .for_each(|object| api.put(object));
        let said = scene.diagnosis(&compare);
        said.has("services-differ", "shop/b:http TCP/IPv4 is missing", "shunt doctor --repair");
        said.has(
            "services-differ",
            "shop/a:http TCP/IPv4: cluster lacks 10.244.0.3:8080 and has 10.244.0.1:8080",
            "--repair",
        );
        assert_eq!((said.code, said.found()), (1, vec!["no-agent", "services-differ"]));
        let mended = scene.diagnosis(&[&compare[..], &["--repair"]].concat());
        assert_eq!(mended.found(), ["no-agent"], "{:#}", mended.json["findings"]);
        assert_eq!(mended.facts("services")["wanted"], 2);
        let before = scene.site.dump();

        // One of another cluster, and one that has lost everything: nobody wipes the node for them.
        let with_repair = [&compare[..], &["--repair"]].concat();
        api.delete(NODES, "lab-node");
        api.lose(SERVICES);
        api.lose(SLICES);
        let foreign = scene.diagnosis(&with_repair);
        foreign.has("services", "lists were not complete within 30s", "doctor");
        assert_eq!((foreign.code, foreign.found()), (1, vec!["no-agent", "services"]));
        assert_eq!(scene.site.dump(), before);
        let believed = [&with_repair[..], &["--relist-guard", "100"]].concat();
        let foreign = scene.diagnosis(&believed);
        foreign.has("services", "has no Node \"lab-node\"", "doctor");
        assert_eq!(scene.site.dump(), before);
        end.send(()).unwrap();
    });
}
