//! Single values: names, addresses, CIDRs, ports, enumerations.

use super::{
    super::{rules, sound},
    Bytes,
};
use serde_json::{Value, json};

/// One of `names`, or a name that the API server would refuse.
pub fn name(bytes: &mut Bytes<'_>, names: &[&str]) -> Value {
    match bytes.byte() {
        0..=229 => json!(bytes.pick(names)),
        230..=233 => json!("n".repeat(bytes.below(256) + 200)),
        234..=237 => json!(bytes.text()),
        _ => {
            json!(bytes.pick(&["", "Web", "a/b", "a\nb", "\u{1b}[2J", "-", "..", "é", " web", "a//TCP/IPv4"]))
        }
    }
}

/// An address of `10.x.0.n` or `fd00:x::n`; now and then written oddly, or none at all. Those of the
/// sound Service are never made.
pub fn address(bytes: &mut Bytes<'_>, network: u8) -> Value {
    let (kind, n) = (bytes.byte(), bytes.byte() % 32 + 1);
    json!(match kind {
        0..=119 => format!("10.{network}.0.{n}"),
        120..=179 => format!("fd00:{network}::{n:x}"),
        180..=187 => format!("010.{network:03}.000.{n:03}"),
        188..=193 => format!("::ffff:10.{network}.0.{n}"),
        194..=197 => format!("FD00:{network:06}:0:0::{n:05x}"),
        198..=201 => format!("::ffff:010.{network:04}.0.{n}"),
        202..=205 => format!(" 10.{network}.0.{n} "),
        206..=209 => format!("10.{network}.0.{n}/32"),
        210..=213 => format!("[fd00:{network}::{n:x}]"),
        214..=216 => format!("10.{network}.0.{}", 255 + u16::from(n)),
        217..=219 => format!("0x0a.{network}.0.{n}"),
        220..=224 => return json!(bytes.text()),
        _ => {
            let odd = [
                "",
                "None",
                "none",
                "0.0.0.0",
                "::",
                "::ffff:0.0.0.0",
                "255.255.255.255",
                "127.0.0.1",
                "::1",
                "224.0.0.1",
                "ff02::1",
                "169.254.0.1",
                "fe80::1",
                "fe80::1%eth0",
                "pod.example",
                "10",
                "-1",
                ":::",
                "1::2::3",
                "10.0.0.1,10.0.0.2",
                "10.0.0.1\n",
                "१०.0.0.1",
                "::00000000000000000001",
            ];
            return json!(bytes.pick(&odd));
        }
    })
}

/// `address/length`, with white space and zeros as the API server lets them through.
pub fn cidr(bytes: &mut Bytes<'_>) -> Value {
    let address = address(bytes, 1);
    let length = bytes.pick_or(
        &["8", "0", "24", "32", "64", "128"],
        &["", "08", "033", "33", "129", "256", "-1", "+8", " 8", "8/8", "8.0", "٨"],
    );
    let (before, after) = (bytes.pick_or(&[""], &[" ", "\t", "\n"]), bytes.pick_or(&[""], &[" ", "\r\n"]));
    json!(format!("{before}{}/{length}{after}", address.as_str().unwrap_or_default()))
}

/// A port number.
pub fn port(bytes: &mut Bytes<'_>) -> Value {
    match bytes.byte() {
        0..=199 => json!([80, 443, 53, 8080, 9090, 30080, 30053][bytes.below(7)]),
        200..=209 => {
            let any = u16::from(bytes.byte()) << 8 | u16::from(bytes.byte());
            json!(if sound::is_own_node_port(any) { 0 } else { any })
        }
        210..=213 => json!(80.0),
        214 => json!("80"),
        215 => json!(u64::MAX),
        216 => json!(4_294_967_376_u64),
        _ => json!([0, -1, 1, 65_535, 65_536, 65_616, i32::MAX, i32::MIN][bytes.below(8)]),
    }
}

/// One of the words of an enumeration, or a word that it has not.
pub fn word(bytes: &mut Bytes<'_>, words: &[&str]) -> Value {
    match bytes.byte() {
        0..=219 => json!(bytes.pick(words)),
        220..=223 => json!(bytes.pick(words).to_lowercase()),
        224..=227 => json!(format!("{} ", bytes.pick(words))),
        228..=231 => json!(bytes.text()),
        _ => json!(bytes.pick(&["", "Magic", "None", "null", "0", "a\u{7}b"])),
    }
}

/// The name of a port.
pub fn port_name(bytes: &mut Bytes<'_>) -> Value {
    let long = "p".repeat(64);
    json!(bytes.pick_or(&["http", "", "dns", "p0", "p1"], &["HTTP", "a/b", "-", "a b", "é", "\n", &long]))
}

/// The name of this node, of another one, or of none.
pub fn node_name(bytes: &mut Bytes<'_>) -> Value {
    json!(bytes.pick_or(&[rules::NODE, "node-b"], &["", "NODE-A", "node-a ", "n\nn"]))
}

/// The name of a zone.
pub fn zone(bytes: &mut Bytes<'_>) -> Value {
    let long = "z".repeat(300);
    json!(bytes.pick_or(&["zone-a", "zone-b"], &["", "Zone A", "a/b", "é\n", &long]))
}
