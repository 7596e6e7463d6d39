//! Others' filters on the same device.

use crate::stage::{Setup, Stage};
use shunt::lab::{self, lan::Options, ping};
use std::{process::Command, time::Duration};

fn tc(stage: &Stage, words: &[&str]) {
    let mut command = Command::new("tc");
    let output = lab::run(stage.node(), command.args(words), Duration::from_secs(10)).unwrap();
    assert!(output.status.success(), "tc {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_filter_of_others_sees_packets_after_ours() {
    for clsact in [false, true] {
        let lan = Options { nodes: 1, ..Options::default() };
        let Some(stage) = Stage::new(&Setup { lan, clsact, ..Setup::default() }) else { return };
        if !clsact {
            tc(&stage, &["qdisc", "add", "dev", "eth0", "clsact"]);
        }
        let answers = || {
            let node = stage.node().ipv4().into();
            stage.client().run(|| ping(node, Duration::from_millis(500))).unwrap().is_ok()
        };
        for hook in ["ingress", "egress"] {
            assert!(answers());
            let at = ["dev", "eth0", hook, "pref", "60000"];
            // A program of one instruction, which returns TC_ACT_SHOT.
            let drop = ["protocol", "all", "bpf", "da", "bytecode", "1,6 0 0 2"];
            tc(&stage, &[&["filter", "add"], &at[..], &drop].concat());
            assert!(!answers(), "clsact {clsact}: the filter at {hook} is passed by");
            tc(&stage, &[&["filter", "del"], &at[..]].concat());
        }
        if !clsact {
            tc(&stage, &["qdisc", "del", "dev", "eth0", "clsact"]);
        }
        stage.assert_nothing_left();
    }
}
