//! An amount of memory as Kubernetes writes it.

use std::{fmt, str::FromStr};

/// Bytes: what a `resource.Quantity` of memory reads, `128Mi`, `1.5Gi`, `500M`, `134217728`. Never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MemoryQuantity(pub u64);

/// Suffixes and what they stand for, the longer names first.
const SUFFIXES: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

impl FromStr for MemoryQuantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write an amount of memory as Kubernetes does: 128Mi, 1.5Gi, 500M".to_owned();
        let (number, unit) = SUFFIXES
            .iter()
            .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
            .unwrap_or((text, 1));
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        // Nine digits behind the point are less than a kilobyte of a terabyte.
        if whole.len() + part.len() == 0 || part.len() > 9 || !are_digits(whole) || !are_digits(part) {
            return Err(wrong());
        }
        let digits = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u64>() };
        let (whole, fraction) = (digits(whole).map_err(|_| wrong())?, digits(part).map_err(|_| wrong())?);
        let fraction = u128::from(fraction) * u128::from(unit) / 10_u128.pow(part.len() as u32);
        let bytes = u128::from(whole) * u128::from(unit) + fraction;
        match u64::try_from(bytes) {
            Ok(bytes) if bytes > 0 => Ok(Self(bytes)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for MemoryQuantity {
    /// In the largest binary unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = SUFFIXES[..4].iter().rev();
        match units.into_iter().find(|(_, unit)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((suffix, unit)) => write!(f, "{}{suffix}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_kubernetes_reads_them() {
        for (text, bytes) in [
            ("134217728", 128 << 20),
            ("128Mi", 128 << 20),
            ("1.5Gi", 3 << 29),
            ("500M", 500_000_000),
            ("1k", 1_000),
            (".5Ki", 512),
            ("2.Ti", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(MemoryQuantity(bytes)), "{text}");
        }
        for wrong in [
            "",
            "Mi",
            "0",
            "0Mi",
            "-1Mi",
            "+1",
            "1 Mi",
            "1mi",
            "1K",
            "1e3",
            "1.5.5Mi",
            "0x10",
            "99999999Ti",
            ".",
        ] {
            assert!(wrong.parse::<MemoryQuantity>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_amount_is_shown_in_its_largest_unit() {
        for (bytes, text) in [(128 << 20, "128Mi"), (1 << 40, "1Ti"), (3 << 29, "1536Mi"), (1_500, "1500")] {
            assert_eq!(MemoryQuantity(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(MemoryQuantity(bytes)));
        }
    }
}
