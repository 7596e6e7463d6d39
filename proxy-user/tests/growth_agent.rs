//! `shunt run` with a cluster that outgrows its first maps, and with a limit of memory that the cluster does not fit in.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

mod command;

use command::{Site, said, skipped, wait_until};
use serde_json::Value;
use std::{fmt::Write as _, net::Ipv4Addr};

/// Saves Services `from..to` with two endpoints each, under their numbers.
fn save(site: &Site, from: u32, to: u32) {
    let mut text = String::new();
    for number in from..to {
        let address = |network: Ipv4Addr, host: u32| Ipv4Addr::from_bits(u32::from(network) + host);
        let cluster_ip = address(Ipv4Addr::new(10, 96, 0, 0), number);
        let [one, two] = [0, 1].map(|pod| address(Ipv4Addr::new(10, 128, 0, 0), 2 * number + pod));
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}}}\n\
             spec: {{clusterIP: {cluster_ip}, ports: [{{port: 80}}]}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: s{number}-1, labels: {{kubernetes.io/service-name: s{number}}}}}\n\
             addressType: IPv4\nports: [{{name: '', port: 8080}}]\n\
             endpoints: [{{addresses: [{one}]}}, {{addresses: [{two}]}}]\n"
        )
        .unwrap();
    }
    site.save(&format!("services-{from}.yaml"), &text);
}

fn status(site: &Site) -> Value {
    let cgroup = site.cgroup.path().to_str().unwrap();
    let said = said(&["status", "--pin-path", &site.pins(), "--cgroup", cgroup, "-o", "json"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    serde_json::from_str(&said.out).unwrap()
}

/// Entries in use and room of a map.
fn room(status: &Value, map: &str) -> (u64, u64) {
    let maps = status["maps"].as_array().unwrap();
    let map = maps.iter().find(|status| status["map"] == map).unwrap();
    (map["used"].as_u64().unwrap(), map["capacity"].as_u64().unwrap())
}

/// Kernel memory of a map.
fn bytes_of(status: &Value, map: &str) -> u64 {
    let maps = status["maps"].as_array().unwrap();
    maps.iter().find(|status| status["map"] == map).unwrap()["bytes"].as_u64().unwrap()
}

#[test]
fn maps_follow_the_cluster_and_the_log_says_so() {
    if skipped() {
        return;
    }
    // So little that maps begin with 512 service ports, whatever this machine has.
    let (site, memory) =
        (Site::new(), ["--map-memory", "6Mi", "--max-flows", "1024", "--max-sockets", "1024"]);
    save(&site, 0, 300);
    let mut agent = site.start(&site.manifests(), &memory);
    let before = status(&site);
    let (used, capacity) = room(&before, "SERVICES");
    assert_eq!(used, 300);
    let chosen = ["FLOWS", "UDP_FLOWS", "REVERSE"].map(|map| bytes_of(&before, map));
    let limit = (6 << 20) + chosen.iter().sum::<u64>();
    assert_eq!(before["map_memory_limit_bytes"], limit, "chosen sizes come on top");
    let more = u32::try_from(capacity).unwrap();
    save(&site, 300, more);
    let line = agent.wait_for("maps have grown");
    assert!(line.contains(&format!("service ports {capacity} to {}", 2 * capacity)), "{line}");
    wait_until("all are served", || room(&status(&site), "SERVICES") == (u64::from(more), 2 * capacity));
    let after = status(&site);
    assert_eq!(room(&after, "FLOWS").1, 1024, "a size that was chosen stays");
    let bytes = |status: &Value| status["map_memory_bytes"].as_u64().unwrap();
    assert!(bytes(&after) > bytes(&before) && bytes(&after) <= limit);
    let sum: u64 = after["maps"].as_array().unwrap().iter().map(|map| map["bytes"].as_u64().unwrap()).sum();
    assert_eq!(bytes(&after), sum);
    assert!(!agent.log().contains("ERROR") && !agent.log().contains("WARN"), "{}", agent.log());
    assert_eq!(agent.stop().code(), Some(0));
}

#[test]
fn what_the_limit_of_memory_leaves_out_is_named_with_the_option_that_helps() {
    if skipped() {
        return;
    }
    let site = Site::new();
    save(&site, 0, 3_000);
    let mut agent = site.start(&site.manifests(), &["--map-memory", "2Mi"]);
    let line = agent.wait_for("do not fit wholly");
    assert!(line.contains("Raise --map-memory"), "{line}");
    let (used, _) = room(&status(&site), "SERVICES");
    assert!((400..3_000).contains(&used), "{used} are served");
    assert_eq!(agent.stop().code(), Some(0));

    // With more of it, the maps that are there grow.
    let mut richer = site.start(&site.manifests(), &["--map-memory", "32Mi"]);
    assert!(!richer.log().contains("ERROR"), "{}", richer.log());
    richer.wait_for("maps have grown");
    assert_eq!(room(&status(&site), "SERVICES").0, 3_000);
    assert_eq!(richer.stop().code(), Some(0));
}
