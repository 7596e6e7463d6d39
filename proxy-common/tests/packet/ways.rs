//! Where the packets of a flow go, and what comes in the way: routes, time to live, MTU.

use crate::{
    lab::{Lab, every},
    net::{ETH0, VXLAN},
    world::Carried,
};
use proxy_common::abi::{Counter, DeviceEntry, FrontendFlags, TCP};
use std::{collections::HashMap, net::Ipv4Addr};

#[test]
fn a_flow_whose_answers_would_pass_no_device_of_ours_is_dropped() {
    every(|lab| {
        // Behind a device that Shunt is not attached to.
        Lab::serve_at("10.244.9.5:8080")(lab);
        lab.check([("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S", "drop")]);
        lab.counted(&[(Counter::PacketUnreturnable, 1)]);
        assert_eq!(lab.flows(), 0);
    });
    every(|lab| {
        // The client is behind such a device: the backend is shown the node.
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.check([(
            "eth0 in",
            "10.244.9.7:4000 > 192.0.2.1:30080 tcp S",
            "cni0 via 10.244.1.5: 10.244.1.1:50000 > 10.244.1.5:8080 tcp S ttl=63",
        )]);
    });
    every(|lab| {
        // The device that leads to the backend has no address of the family.
        Lab::serve_at("10.244.2.5:8080")(lab);
        let eth0 = lab.world.devices.get_mut(&ETH0).unwrap();
        (eth0.address4, eth0.address6) = (0, Default::default());
        lab.check([("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S", "drop")]);
        lab.counted(&[(Counter::PacketUnreturnable, 1)]);
    });
}

#[test]
fn a_flow_without_a_route_is_dropped() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        lab.net.no_route_to = vec![Ipv4Addr::new(10, 244, 2, 5)];
        lab.check([("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S", "drop")]);
        // It comes and goes: a flow that has begun ends there as well.
        lab.net.no_route_to.clear();
        assert_ne!(lab.sees("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S"), "drop");
        lab.net.no_route_to = vec![Ipv4Addr::new(192, 0, 2, 9)];
        lab.check([("eth0 in", "10.244.2.5:8080 > 192.0.2.1:50000 tcp SA", "drop")]);
        lab.counted(&[(Counter::FlowNew, 1), (Counter::PacketNoRoute, 2)]);
    });
    every(|lab| {
        // No way back to a client whose address is kept.
        Lab::serve_at("10.244.1.5:8080")(lab);
        lab.net.no_route_to = vec![Ipv4Addr::new(192, 0, 2, 9)];
        lab.check([("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S", "drop")]);
        lab.counted(&[(Counter::PacketNoRoute, 1)]);
    });
}

#[test]
fn a_packet_that_goes_on_to_another_machine_loses_time_to_live() {
    every(|lab| {
        Lab::serve_at("10.244.2.5:8080")(lab);
        let here = lab.serve("10.96.0.11:80", TCP, &["10.244.1.5:8080"]);
        lab.frontend(here, FrontendFlags::NODE_PORT, "192.0.2.1:30081", TCP);
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S ttl=2",
                "eth0 via 192.0.2.2: 192.0.2.1:50000 > 10.244.2.5:8080 tcp S ttl=1",
            ),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp A ttl=1", "drop"),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp A ttl=0", "drop"),
            // The stack counts what it routes itself.
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30081 tcp S ttl=1",
                "pass: 192.0.2.9:4000 > 10.244.1.5:8080 tcp S ttl=1",
            ),
        ]);
        lab.counted(&[(Counter::FlowNew, 2), (Counter::PacketTtlExceeded, 2)]);
    });
}

#[test]
fn the_sender_of_a_packet_that_does_not_fit_is_told_the_mtu() {
    every(|lab| {
        Lab::serve_at("10.244.3.5:8080")(lab);
        let error = |least: &str| format!("return: 192.0.2.1 > 192.0.2.9 icmp too-big number={least}");
        lab.check([
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp S",
                "vxlan via 10.244.3.0: 10.244.3.1:50000 > 10.244.3.5:8080 tcp S ttl=63",
            ),
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=1440",
                &format!("{} [192.0.2.9:4000 > 192.0.2.1:30080 tcp]", error("1450")),
            ),
            // The first packet of a flow as well; and what is cut apart on the way out fits.
            (
                "eth0 in",
                "192.0.2.9:4000 > 192.0.2.1:30080 udp data=1440",
                &format!("{} [192.0.2.9:4000 > 192.0.2.1:30080 udp]", error("1450")),
            ),
        ]);
        lab.counted(&[(Counter::FlowNew, 2), (Counter::PacketTooBig, 2)]);
        let mut frame = lab.frame("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=14400");
        frame.segmented = true;
        let expected = "vxlan via 10.244.3.0: 10.244.3.1:50000 > 10.244.3.5:8080 tcp A data=14400 ttl=63";
        assert_eq!(lab.translate(&mut frame), lab.text(expected));
        // Segments that will not fit: the kernel's look-up lets them pass.
        lab.world.devices.insert(VXLAN, DeviceEntry { mtu: 1_030, ..DeviceEntry::default() });
        let mut frame = lab.frame("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=14400");
        frame.segmented = true;
        let told = error(if lab.variant.v6 { "1280" } else { "1030" });
        assert_eq!(
            lab.translate(&mut frame),
            lab.text(&format!("{told} [192.0.2.9:4000 > 192.0.2.1:30080 tcp]"))
        );
        // A device that is gone meanwhile, or lies about its MTU.
        for (mtu, told) in
            [(None, ["576", "1280"]), (Some(600), ["600", "1280"]), (Some(70_000), ["65535", "70000"])]
        {
            lab.world.devices.remove(&VXLAN);
            if let Some(mtu) = mtu {
                lab.world.devices.insert(VXLAN, DeviceEntry { mtu, ..DeviceEntry::default() });
            }
            let told = error(told[usize::from(lab.variant.v6)]);
            let packet = "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=1440";
            lab.check([("eth0 in", packet, &format!("{told} [192.0.2.9:4000 > 192.0.2.1:30080 tcp]"))]);
        }
    });
}

#[test]
fn a_service_port_knows_what_it_carried() {
    every(|lab| {
        Lab::serve_at("10.244.1.5:8080")(lab);
        for (place, packet) in [
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp S"),
            ("eth0 out forwarded", "10.244.1.5:8080 > 192.0.2.9:4000 tcp SA"),
            ("eth0 in", "192.0.2.9:4000 > 192.0.2.1:30080 tcp A data=100"),
            ("eth0 in", "192.0.2.9:4001 > 192.0.2.1:30080 tcp S"),
        ] {
            lab.sees(place, packet);
        }
        let headers = if lab.variant.v6 { 60 } else { 40 };
        let carried = lab.world.carried.borrow();
        let expected = Carried { flows: 2, from_client: 3 * headers + 100, to_client: headers };
        assert_eq!(*carried, HashMap::from([(0, expected)]));
    });
}
