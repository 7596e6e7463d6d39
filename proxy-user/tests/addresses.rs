//! The addresses of a node's interfaces, followed in a namespace that the test made.
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]
#![cfg(feature = "agent")]

use shunt::{
    lab::{Namespace, available},
    model::Event,
    source::addresses::AddressFollower,
};
use std::{env, net::IpAddr, time::Duration};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);

fn addresses(event: Event) -> Vec<String> {
    match event {
        Event::LocalAddresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_that_come_and_go_are_reported() {
    if let Err(reason) = available() {
        assert!(env::var_os("SHUNT_REQUIRE_LAB").is_none(), "{reason}");
        eprintln!("skipped: {reason}");
        return;
    }
    let (node, peer) = (Namespace::new("node").unwrap(), Namespace::new("peer").unwrap());
    node.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (mut follower, first) = AddressFollower::start().unwrap();
        assert_eq!(addresses(first), ["127.0.0.1", "::1"]);
        // Lists that are on the way to the wanted one may be reported too.
        let mut reaches = |wanted: &dyn Fn(&[String]) -> bool| {
            runtime.block_on(async {
                let reach = async { while !wanted(&addresses(follower.next().await)) {} };
                timeout(LIMIT, reach).await.expect("the list is reported");
            });
        };
        let has = |list: &[String], address: &str| list.iter().any(|have| have == address);

        node.connect("eth0", &peer, "eth0").unwrap();
        node.add_address("eth0", ip("192.0.2.1"), 24).unwrap();
        node.add_address("eth0", ip("2001:db8::1"), 64).unwrap();
        reaches(&|list| has(list, "192.0.2.1") && has(list, "2001:db8::1") && has(list, "127.0.0.1"));

        node.remove_address("eth0", ip("192.0.2.1"), 24).unwrap();
        reaches(&|list| !has(list, "192.0.2.1") && has(list, "2001:db8::1"));

        node.remove_device("eth0").unwrap();
        reaches(&|list| list == ["127.0.0.1", "::1"]);
    })
    .unwrap();
}
