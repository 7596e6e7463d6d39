use super::*;
use crate::select::Glob;

const ETHER: u16 = 1;
const NONE: u16 = 0xfffe;
const LOOPBACK: u16 = 772;

fn device(index: u32, name: &str, addresses: &[&str]) -> Device {
    Device {
        index,
        name: name.to_owned(),
        link_type: ETHER,
        mtu: 1500,
        mac: [2, 0, 0, 0, 0, index as u8],
        up: true,
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ..Device::default()
    }
}

fn virtual_device(index: u32, name: &str, kind: &str, link_type: u16, addresses: &[&str]) -> Device {
    Device { kind: kind.to_owned(), link_type, ..device(index, name, addresses) }
}

/// A node as Calico or flannel leave it.
fn node() -> Vec<Device> {
    vec![
        Device { link_type: LOOPBACK, ..device(1, "lo", &["10.0.0.99"]) },
        Device { default_route: true, ..device(2, "eth0", &["192.0.2.11", "2001:db8::11", "2001:db8::12"]) },
        device(3, "eth1", &[]),
        virtual_device(4, "cni0", "bridge", ETHER, &["10.244.1.1"]),
        virtual_device(5, "veth12", "veth", ETHER, &[]),
        virtual_device(6, "flannel.1", "vxlan", ETHER, &["10.244.1.0"]),
        virtual_device(7, "cali1", "veth", ETHER, &[]),
        virtual_device(8, "wg0", "wireguard", NONE, &[]),
        virtual_device(9, "tun0", "tun", NONE, &[]),
        virtual_device(10, "tap0", "tun", ETHER, &[]),
        Device { up: false, ..virtual_device(11, "tunl0", "ipip", 768, &[]) },
    ]
}

fn globs(text: &str) -> Vec<Glob> {
    Glob::list(text).unwrap()
}

fn names(rules: &PacketDevices) -> Vec<String> {
    select_devices(&node(), rules, &[]).into_iter().map(|chosen| chosen.name).collect()
}

fn entry_of(name: &str, devices: &[Device], node: &[IpAddr]) -> DeviceEntry {
    let all = PacketDevices { interfaces: Some(globs("*")), pods: vec![] };
    let chosen = select_devices(devices, &all, node);
    chosen.into_iter().find(|chosen| chosen.name == name).unwrap().entry
}

fn address4(entry: &DeviceEntry) -> IpAddr {
    IpAddr::from(entry.address4.to_ne_bytes())
}

#[test]
fn by_default_those_with_routes_or_addresses_and_tunnels() {
    assert_eq!(names(&PacketDevices::default()), ["eth0", "cni0", "flannel.1", "wg0", "tun0"]);
    let mut devices = node();
    devices[10].up = true;
    devices[2].default_route = true;
    let chosen = select_devices(&devices, &PacketDevices::default(), &[]);
    let names: Vec<_> = chosen.iter().map(|chosen| chosen.name.as_str()).collect();
    assert_eq!(names, ["eth0", "eth1", "cni0", "flannel.1", "wg0", "tun0", "tunl0"]);
}

#[test]
fn an_operator_names_others_or_none() {
    let chosen = |interfaces: &str, pods| {
        names(&PacketDevices { interfaces: Some(globs(interfaces)), pods: globs(pods) })
    };
    assert_eq!(chosen("eth*,lo", ""), ["eth0", "eth1"]);
    assert_eq!(chosen("none", ""), [""; 0]);
    assert_eq!(chosen("none", "cali*"), ["cali1"]);
    let both = PacketDevices { interfaces: None, pods: globs("cali*,cni0") };
    assert_eq!(names(&both), ["eth0", "cni0", "flannel.1", "cali1", "wg0", "tun0"]);
    let pods = |chosen: &ChosenDevice| chosen.entry.flags.contains(DeviceFlags::PODS);
    let pods: Vec<_> = select_devices(&node(), &both, &[]).into_iter().filter(pods).map(|c| c.name).collect();
    assert_eq!(pods, ["cni0", "cali1"]);
}

#[test]
fn an_entry_says_what_the_device_is_like() {
    let eth0 = entry_of("eth0", &node(), &[]);
    assert_eq!(address4(&eth0), "192.0.2.11".parse::<IpAddr>().unwrap());
    assert_eq!(eth0.address6, "2001:db8::11".parse::<IpAddr>().unwrap().into());
    assert_eq!((eth0.mtu, eth0.flags), (1500, DeviceFlags::default()));
    assert_eq!(eth0.mac.map(u16::to_ne_bytes).concat(), [2, 0, 0, 0, 0, 2]);
    for headerless in ["wg0", "tun0", "tunl0"] {
        assert_eq!(entry_of(headerless, &node(), &[]).flags, DeviceFlags::HEADERLESS, "{headerless}");
    }
    for other in ["tap0", "flannel.1"] {
        assert_eq!(entry_of(other, &node(), &[]).flags, DeviceFlags::default(), "{other}");
    }
}

#[test]
fn a_device_without_an_address_lends_the_nodes() {
    let v6 = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
    let wg0 = |devices: &[Device], node: &[IpAddr]| {
        let entry = entry_of("wg0", devices, node);
        (address4(&entry).to_string(), entry.address6)
    };
    // The default route's device, device by device and family by family.
    assert_eq!(wg0(&node(), &[]), ("192.0.2.11".to_owned(), v6("2001:db8::11")));
    assert_eq!(entry_of("cni0", &node(), &[]).address6, v6("2001:db8::11"));
    // The Node's, if the machine has it.
    let named = ["198.51.100.1", "10.244.1.1", "2001:db8::12"].map(|text| text.parse().unwrap());
    assert_eq!(wg0(&node(), &named), ("10.244.1.1".to_owned(), v6("2001:db8::12")));
    // Nobody's route: the first that there is, but loopback's.
    let mut devices = node();
    devices[1].default_route = false;
    devices[1].addresses.clear();
    assert_eq!(wg0(&devices, &[]), ("10.244.1.1".to_owned(), Address::default()));
}
