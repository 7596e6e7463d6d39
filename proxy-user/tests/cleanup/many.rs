//! A node of a large cluster: all at once, in one transaction.

use crate::{
    command::skipped,
    node::{KINDS, TestNode},
};
use std::{fmt::Write as _, time::Instant};

/// Services, each with a chain of its own and two of endpoints.
const SERVICES: usize = 3_000;

#[test]
fn ten_thousand_chains_go_in_one_step() {
    if skipped() {
        return;
    }
    for kind in KINDS {
        let node = TestNode::new(kind);
        let mut chains = String::from("*nat\n:KUBE-SERVICES - [0:0]\n:ZZZ-LAST - [0:0]\n");
        let mut rules = String::from("-A OUTPUT -j KUBE-SERVICES\n-A OUTPUT -j ZZZ-LAST\n");
        for service in 0..SERVICES {
            let _ = writeln!(chains, ":KUBE-SVC-{service:016} - [0:0]");
            let _ = writeln!(
                rules,
                "-A KUBE-SERVICES -d 10.{}.{}.1/32 -j KUBE-SVC-{service:016}",
                service / 256,
                service % 256
            );
            for endpoint in 0..2 {
                let name = format!("KUBE-SEP-{service:015}{endpoint}");
                let _ = writeln!(chains, ":{name} - [0:0]");
                let _ = writeln!(rules, "-A KUBE-SVC-{service:016} -j {name}");
                let _ = writeln!(
                    rules,
                    "-A {name} -p tcp -j DNAT --to-destination 10.244.{}.{}:80",
                    service / 256,
                    service % 256
                );
            }
        }
        node.run_with(
            "iptables-restore",
            &[],
            &format!("{chains}{rules}-A ZZZ-LAST -p tcp -m tcp --dport 9 -j ACCEPT\nCOMMIT\n"),
        );
        let start = Instant::now();
        let done = node.cleanup(&["--kube-proxy", "--force"]);
        assert_eq!(done.code, Some(0), "{kind:?}: {}", done.err);
        println!("{kind:?}: {:?}", start.elapsed());
        assert_eq!(done.out.lines().count(), 3 * SERVICES + 2);
        let rules = node.run("iptables-save -t nat");
        let left: Vec<_> =
            rules.lines().filter(|line| line.starts_with("-A") || line.starts_with(":KUBE")).collect();
        assert_eq!(left, ["-A OUTPUT -j ZZZ-LAST", "-A ZZZ-LAST -p tcp -m tcp --dport 9 -j ACCEPT"]);
    }
}
