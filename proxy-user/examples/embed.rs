//! A CNI that embeds Shunt: balance one Service over two endpoints, then count connections.
//!
//! Needs root. `cargo run --example embed -- [CGROUP] [PIN_PATH]`; without arguments it serves all
//! sockets of the machine, so give it a child cgroup to try it out.

use proxy_common::abi::Counter;
use shunt::{
    dataplane::{Dataplane, Options},
    engine::Rules,
    kernel,
    model::{Endpoint, EndpointSlice, Family, ObjectName, Protocol, Service, ServicePort, SlicePort},
};
use std::{error::Error, io};

fn main() -> Result<(), Box<dyn Error>> {
    let mut options = Options::default();
    let mut args = std::env::args_os().skip(1);
    options.cgroup = args.next().map_or(options.cgroup, Into::into);
    options.pin_path = args.next().map_or(options.pin_path, Into::into);
    let mut dataplane = Dataplane::open("node-a", Rules::default(), &options)?;

    let mut web = Service::cluster_ip(ObjectName::new("default", "web"), vec!["10.96.0.10".parse()?]);
    let http = |port| ServicePort { name: "http".into(), protocol: Protocol::Tcp, port, node_port: None };
    web.ports.push(http(80));
    dataplane.upsert_service(web);

    let mut endpoints = EndpointSlice {
        name: ObjectName::new("default", "web-1"),
        service: "web".into(),
        family: Family::V4,
        ports: vec![SlicePort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 }],
        endpoints: vec![Endpoint::ready("10.244.0.11".parse()?), Endpoint::ready("10.244.0.12".parse()?)],
    };
    dataplane.upsert_endpoints(endpoints.clone());
    let first = dataplane.sync()?;
    println!("10.96.0.10:80 is served by two endpoints ({} frontends written)", first.puts);

    endpoints.endpoints.pop();
    dataplane.upsert_endpoints(endpoints);
    let second = dataplane.sync()?;
    println!("one endpoint left: {} memory stores, {} frontends", second.stores, second.puts);

    println!("press Enter to detach and remove everything");
    io::stdin().read_line(&mut String::new())?;
    println!("{} connections were balanced", dataplane.counter(Counter::ConnectForwarded)?);
    drop(dataplane);
    // Without this, connections would go on being balanced after the process has ended.
    kernel::remove(&options.pin_path)?;
    Ok(())
}
