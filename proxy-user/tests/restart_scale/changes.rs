//! Ten changes of a cluster, and the writes that each needs.

use crate::{
    cluster::{Cluster, fresh, name},
    counted::Writes,
};
use serde_json::json;

/// A change: what it is, what it does to the cluster, and the least that makes the maps true to it.
pub struct Change {
    pub what: &'static str,
    pub make: fn(&mut Cluster),
    pub needs: Writes,
}

/// The Service that is added and the one that is removed.
pub const ADDED: u32 = 60_012;
pub const REMOVED: u32 = 22;

/// Each is about a Service of its own, one port and ten endpoints of IPv4, but where it says so.
pub const CHANGES: [Change; 10] = [
    Change {
        what: "a pod is replaced: its successor, the slot, the end of the old one",
        make: |cluster| cluster.endpoints(8)[3] = fresh(8, 3, 10),
        needs: Writes::new(3, 0, 0),
    },
    Change {
        what: "a pod comes: backend, slot, set",
        make: |cluster| cluster.endpoints(9).push(fresh(9, 0, 11)),
        needs: Writes::new(3, 0, 0),
    },
    Change {
        what: "a pod goes: the hole, the set, its end",
        make: |cluster| drop(cluster.endpoints(11).remove(2)),
        needs: Writes::new(3, 0, 0),
    },
    Change {
        what: "a pod terminates and serves: the hole, the set, what its backend says",
        make: |cluster| {
            let conditions = json!({"ready": false, "serving": true, "terminating": true});
            cluster.endpoints(12)[2]["conditions"] = conditions;
        },
        needs: Writes::new(3, 0, 0),
    },
    Change {
        what: "a Service comes with three pods: name, policy, three backends, three slots, set; port and address",
        make: |cluster| cluster.add(ADDED, 3),
        needs: Writes::new(9, 2, 0),
    },
    Change {
        what: "a Service goes: port and address; then the end of ten backends",
        make: |cluster| cluster.remove(REMOVED),
        needs: Writes::new(10, 0, 2),
    },
    Change {
        what: "a NodePort moves: one frontend comes, one goes",
        make: |cluster| cluster.service(110)["spec"]["ports"][0]["nodePort"] = json!(32_700),
        needs: Writes::new(0, 1, 1),
    },
    Change {
        what: "session affinity is switched on: the policy",
        make: |cluster| cluster.service(13)["spec"]["sessionAffinity"] = json!("ClientIP"),
        needs: Writes::new(1, 0, 0),
    },
    Change {
        what: "an external IP comes: one frontend",
        make: |cluster| cluster.service(16)["spec"]["externalIPs"] = json!(["192.0.2.250"]),
        needs: Writes::new(0, 1, 0),
    },
    Change {
        what: "ten pods become twenty and outgrow their range: ten backends, twenty slots elsewhere, set",
        make: |cluster| cluster.endpoints(17).extend((0..10).map(|place| fresh(17, place, 20))),
        needs: Writes::new(31, 0, 0),
    },
];

/// The name of the Service that a live agent is told of as deleted.
pub fn removed() -> String {
    name(REMOVED)
}
