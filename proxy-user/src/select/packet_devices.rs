//! What an operator says about devices.

use std::{fmt, str::FromStr};

/// Which devices the packet programs are attached to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PacketDevices {
    /// The devices of these names; none for an empty list. `None` for the default choice, see
    /// [`select_devices`](super::select_devices).
    pub interfaces: Option<Vec<Glob>>,
    /// The devices of these names too, and what arrives on them comes from pods of this node.
    pub pods: Vec<Glob>,
}

impl PacketDevices {
    /// Whether no device can be among them: the packet path is switched off.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.interfaces.as_ref().is_some_and(Vec::is_empty) && self.pods.is_empty()
    }
}

/// A pattern of device names: `*` stands for any characters, `?` for one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Glob(String);

/// A text that is no pattern of device names.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no pattern of device names such as eth0 or cali*")]
pub struct ParseGlobError(String);

impl Glob {
    /// Whether a name fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        fits(self.0.as_bytes(), name.as_bytes())
    }

    /// Reads a comma-separated list; nothing, and `none`, are the empty one.
    ///
    /// # Errors
    /// Of the first pattern that is none.
    pub fn list(text: &str) -> Result<Vec<Self>, ParseGlobError> {
        match text.trim() {
            "" | "none" => Ok(Vec::new()),
            list => list.split(',').map(|glob| glob.trim().parse()).collect(),
        }
    }
}

impl FromStr for Glob {
    type Err = ParseGlobError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What the kernel refuses in a name (`dev_valid_name`) matches nothing.
        let is_refused = |c: char| c == '/' || c == ':' || c.is_whitespace();
        // In a list, it would read as if it switched off what the others name.
        if text.is_empty() || text == "none" || text.contains(is_refused) {
            return Err(ParseGlobError(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Goes through both once; after a mismatch the last `*` takes one character more.
fn fits(glob: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star = None;
    while let Some(character) = name.get(from) {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == character => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((behind, taken)) = star else { return false };
                star = Some((behind, taken + 1));
                (at, from) = (behind, taken + 1);
            }
        }
    }
    glob.get(at..).unwrap_or_default().iter().all(|character| *character == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_stands_for_names() {
        for (glob, names, others) in [
            ("eth0", &["eth0"][..], &["eth1", "eth", "eth00", ""][..]),
            ("cali*", &["cali", "cali0a1b"], &["cal", "xcali"]),
            ("*", &["", "lo"], &[]),
            ("?", &["a"], &["", "ab"]),
            ("e*0*p?", &["en0s0p1", "e0p0p2"], &["e0p", "en1s1p1", "e0p12"]),
            ("*.100", &["eth0.100", ".100", "a.100.100"], &["eth0.1000", "100"]),
        ] {
            let glob: Glob = glob.parse().unwrap();
            for name in names {
                assert!(glob.matches(name), "{glob} {name}");
            }
            for name in others {
                assert!(!glob.matches(name), "{glob} {name}");
            }
        }
    }

    #[test]
    fn a_list_may_be_empty_but_not_its_patterns() {
        assert_eq!(Glob::list("none"), Ok(vec![]));
        assert_eq!(Glob::list(" "), Ok(vec![]));
        let names =
            |text| Glob::list(text).map(|globs| globs.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names("eth0, wg*").unwrap(), ["eth0", "wg*"]);
        for wrong in ["eth0,", ",", "a b", "eth/0", "eth0:1", "none,eth0"] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_packet_path_is_off_without_any_name() {
        let globs = |text| Glob::list(text).unwrap();
        assert!(!PacketDevices::default().is_none());
        assert!(PacketDevices { interfaces: Some(vec![]), pods: vec![] }.is_none());
        assert!(!PacketDevices { interfaces: Some(vec![]), pods: globs("cali*") }.is_none());
        assert!(!PacketDevices { interfaces: Some(globs("eth0")), pods: vec![] }.is_none());
    }
}
