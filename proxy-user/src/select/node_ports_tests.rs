//! Where NodePorts answer, as tables: a node, a setting, the addresses.

use super::*;

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What `setting` accepts on a node with these addresses in its object and on its interfaces.
fn accepted(setting: &str, localhost: bool, object: &[&str], interfaces: Option<&[&str]>) -> Vec<String> {
    let node = Node { addresses: ips(object), ..Node::default() };
    let local = interfaces.map(ips);
    let addresses = node_port_addresses(&setting.parse().unwrap(), localhost, Some(&node), local.as_deref());
    addresses.iter().map(ToString::to_string).collect()
}

const OBJECT: &[&str] = &["192.168.0.7", "fd00::7", "203.0.113.7"];
const INTERFACES: &[&str] = &[
    "127.0.0.1",
    "127.0.0.53",
    "::1",
    "192.168.0.7",
    "10.1.0.7",
    "169.254.7.7",
    "fd00::7",
    "fd01::7",
    "fe80::7",
];

#[test]
fn primary_is_the_first_address_of_each_family_of_the_node_object() {
    let here = Some(INTERFACES);
    assert_eq!(accepted("primary", false, OBJECT, here), ["192.168.0.7", "fd00::7"]);
    assert_eq!(accepted("primary", true, OBJECT, here), ["127.0.0.1", "192.168.0.7", "::1", "fd00::7"]);
    assert_eq!(accepted("primary", false, OBJECT, None), ["192.168.0.7", "fd00::7"]);
    assert_eq!(accepted("primary", false, &["203.0.113.7", "192.168.0.7"], here), ["203.0.113.7"]);
    assert_eq!(accepted("primary", true, &[], here), ["127.0.0.1", "::1"], "of both families");
    assert_eq!(accepted("primary", false, &["127.0.0.1"], here), [""; 0], "loopback only by localhost");
    assert!(node_port_addresses(&NodePortAddresses::Primary, false, None, Some(&ips(INTERFACES))).is_empty());
}

#[test]
fn all_is_every_address_of_an_interface() {
    let all = ["10.1.0.7", "169.254.7.7", "192.168.0.7", "fd00::7", "fd01::7"];
    assert_eq!(accepted("all", false, OBJECT, Some(INTERFACES)), all, "not 203.0.113.7, a router's");
    let with_loopback = [&all[..1], &["127.0.0.1"], &all[1..3], &["::1"], &all[3..]].concat();
    assert_eq!(accepted("all", true, OBJECT, Some(INTERFACES)), with_loopback);
    let of_object = ["192.168.0.7", "203.0.113.7", "fd00::7"];
    assert_eq!(accepted("all", false, OBJECT, None), of_object, "until the interfaces were observed");
}

#[test]
fn networks_of_each_family() {
    let v6 = ["fd00::7", "fd01::7"];
    let table: [(&str, &str, bool, Vec<&str>); 9] = [
        (
            "inside the networks",
            "192.168.0.0/16,10.1.0.7/32,fd01::/64",
            false,
            vec!["10.1.0.7", "192.168.0.7", "fd01::7"],
        ),
        (
            "a family without a network accepts on all its addresses",
            "192.168.0.0/16",
            false,
            [&["192.168.0.7"], &v6[..]].concat(),
        ),
        ("and on loopback", "192.168.0.0/16", true, [&["192.168.0.7", "::1"], &v6[..]].concat()),
        ("loopback is inside", "127.0.0.0/8,fd00::/64", true, vec!["127.0.0.1", "fd00::7"]),
        ("loopback is inside, but localhost says no", "127.0.0.0/8,::1/128", false, vec![]),
        ("all of 127.0.0.0/8 is 127.0.0.1", "127.0.0.0/30,::1/128", true, vec!["127.0.0.1", "::1"]),
        ("none inside", "172.16.0.0/12,fd02::/64", true, vec![]),
        (
            "a network of everything overrides the others of its family",
            "172.16.0.0/12,0.0.0.0/0,fd02::/64",
            true,
            vec!["10.1.0.7", "127.0.0.1", "169.254.7.7", "192.168.0.7"],
        ),
        ("link-local addresses are never served", "10.0.0.0/8,fe80::/10", true, vec!["10.1.0.7"]),
    ];
    for (rule, setting, localhost, expected) in table {
        assert_eq!(accepted(setting, localhost, OBJECT, Some(INTERFACES)), expected, "{rule}");
    }
}

#[test]
fn settings_as_text() {
    for (text, meant) in [
        ("primary", "primary"),
        (" all ", "all"),
        ("192.168.0.0/16", "192.168.0.0/16"),
        ("192.168.7.7/16, fd00::7/64", "192.168.0.0/16,fd00::/64"),
        ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
    ] {
        let setting: NodePortAddresses = text.parse().unwrap();
        assert_eq!(setting.to_string(), meant);
        assert_eq!(meant.parse(), Ok(setting));
    }
    assert_eq!(NodePortAddresses::default().to_string(), "primary");
    for text in
        ["", "Primary", "10.0.0.0/8,", "10.0.0.0/33", "10.0.0.7", "primary,10.0.0.0/8", "10.0.0.0/8,all"]
    {
        let error = text.parse::<NodePortAddresses>().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{text:?} is neither `primary`, `all` nor")), "{error}");
    }
}

#[test]
fn health_checks_are_answered_where_all_match_on_all_and_else_on_each_that_matches() {
    let answered = |setting: &str, object: &[&str], interfaces: Option<&[&str]>| -> Vec<String> {
        let node = Node { addresses: ips(object), ..Node::default() };
        let local = interfaces.map(ips);
        let addresses = health_check_addresses(&setting.parse().unwrap(), Some(&node), local.as_deref());
        addresses.iter().map(ToString::to_string).collect()
    };
    let here = Some(INTERFACES);
    let table: [(&str, &[&str]); 8] = [
        ("primary", &["192.168.0.7", "fd00::7"]),
        ("all", &["0.0.0.0", "::"]),
        ("192.168.0.0/16,fd00::/16", &["192.168.0.7", "fd00::7"]),
        ("192.168.0.0/16", &["192.168.0.7", "::"]),
        ("fd00::/16", &["0.0.0.0", "fd00::7"]),
        ("0.0.0.0/0,192.168.0.0/16,fd00::/16", &["0.0.0.0", "fd00::7"]),
        ("127.0.0.0/8,192.168.0.0/16,fd00::/16", &["127.0.0.1", "192.168.0.7", "fd00::7"]),
        ("172.16.0.0/12,fc00::/16", &[]),
    ];
    for (setting, expected) in table {
        assert_eq!(answered(setting, OBJECT, here), expected, "{setting}");
    }
    assert_eq!(answered("all", OBJECT, None), ["0.0.0.0", "::"]);
    assert_eq!(answered("primary", &[], here), [""; 0]);
}
