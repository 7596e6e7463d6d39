//! A duration as Kubernetes writes it.

use std::{fmt, str::FromStr, time::Duration};

/// What Go's `time.ParseDuration` reads: `1m30s`, `500ms`, `1.5h`, `0`. Never negative, at most a year.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KubeDuration(pub Duration);

/// Units, in nanoseconds, the longer names of one beginning before the shorter ones.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// A year: what ends after all is easier to wait for than the end of time.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl FromStr for KubeDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let nanoseconds = sum(text).ok_or_else(|| {
            "write numbers and their units as Kubernetes does: 500ms, 10s, 1m30s, 2h".to_owned()
        })?;
        let duration = Duration::from_nanos(nanoseconds);
        if duration <= LONGEST { Ok(Self(duration)) } else { Err("a year is the longest".to_owned()) }
    }
}

/// The sum of a sequence of numbers with units, in nanoseconds; none if it is no such sequence.
fn sum(text: &str) -> Option<u64> {
    let (mut rest, mut total) = (text, 0.0);
    loop {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(end);
        // What Rust reads and Go does not (a sign, an exponent, infinity) has no digits alone.
        let number: f64 = number.parse().ok()?;
        let (unit, length) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit) && is_whole(tail, unit))?;
        total += number * length;
        rest = &tail[unit.len()..];
        if rest.is_empty() {
            // Saturates, far beyond a year.
            return Some(total.round() as u64);
        }
    }
}

/// Whether the unit ends where it seems to: `m` is not the first letter of `ms`.
fn is_whole(tail: &str, unit: &str) -> bool {
    tail[unit.len()..].starts_with(|character: char| character.is_ascii_digit() || character == '.')
        || tail.len() == unit.len()
}

impl fmt::Display for KubeDuration {
    /// As Go writes it, but without units that are zero: `1m30s`, `2h`, `1.5s`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0.as_secs(), self.0.subsec_nanos());
        if seconds == 0 && nanoseconds > 0 {
            return match nanoseconds {
                1_000_000.. => write!(f, "{}ms", f64::from(nanoseconds) / 1e6),
                1_000.. => write!(f, "{}us", f64::from(nanoseconds) / 1e3),
                _ => write!(f, "{nanoseconds}ns"),
            };
        }
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        for (number, unit) in [(hours, "h"), (minutes, "m")] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        if nanoseconds > 0 {
            let fraction = format!("{nanoseconds:09}");
            return write!(f, "{seconds}.{}s", fraction.trim_end_matches('0'));
        }
        if seconds > 0 || self.0.is_zero() { write!(f, "{seconds}s") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Duration, String> {
        text.parse::<KubeDuration>().map(|duration| duration.0)
    }

    #[test]
    fn a_duration_is_a_sum_of_numbers_with_units() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("15m0s", 900_000),
            ("24h0m0s", 86_400_000),
            ("1.5h", 5_400_000),
            (".5s", 500),
            ("1m5ms", 60_005),
            ("1s1m", 61_000),
            ("3000us", 3),
            ("3000µs", 3),
            ("8760h", 31_536_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        let wrong = ["", "10", "s", "-1s", "+1s", "10 s", "1d", "1e3s", "1..5s", ".s", "infs", "1m30", "00"];
        for text in wrong.into_iter().chain(["8760h1s", "9999999999999999999999h"]) {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// Below a hundred days a double holds every nanosecond.
        #[test]
        fn what_is_written_is_read(nanoseconds in 0_u64..8_640_000_000_000_000) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&KubeDuration(duration).to_string()), Ok(duration));
        }
    }
}
