//! A duration as it is written on the command line.

use std::{str::FromStr, time::Duration};

/// `500ms`, `10s`, `5m`, `1h`: more than nothing, at most a year.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

/// Units, in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// A year: what ends after all is easier to wait for than the end of time.
const LONGEST: u64 = 365 * 24 * 3_600_000;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unit = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit);
        let milliseconds = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .and_then(|(_, length)| number.parse::<u64>().ok()?.checked_mul(*length))
            .ok_or_else(|| "write a whole number and its unit: 500ms, 10s, 5m or 1h".to_owned())?;
        match milliseconds {
            0 => Err("more than nothing is needed".to_owned()),
            1..=LONGEST => Ok(Self(Duration::from_millis(milliseconds))),
            _ => Err("a year is the longest".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_its_unit() {
        let parse = |text: &str| text.parse::<Span>().map(|span| span.0.as_millis());
        for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000)] {
            assert_eq!(parse(text), Ok(milliseconds), "{text}");
        }
        for text in ["", "10", "s", "1.5s", "-1s", "10 s", "1d", "0s", "9000h", "18446744073709551615h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
