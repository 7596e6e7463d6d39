//! Moments as Go's encoding/json writes them (RFC 3339, nanoseconds without trailing zeros), in UTC.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

/// A moment; `None` is Go's zero time, the first of January of the year 1.
pub(crate) struct Timestamp(pub Option<SystemTime>);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A clock that stands before 1970 has never been set.
        let since = self.0.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
        let Some(since) = since else { return f.write_str("0001-01-01T00:00:00Z") };
        let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if since.subsec_nanos() > 0 {
            let digits = format!("{:09}", since.subsec_nanos());
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Year, month and day of a day since 1970-01-01. Years begin in March here, so that a leap day is the last day of
/// its year (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days).
const fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01; 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (year + era * 400 + (month <= 2) as u64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_are_written_as_go_writes_them() {
        // Seconds by `date -u -d ... +%s`.
        for (seconds, nanoseconds, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_399, 0, "2000-02-28T23:59:59Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_709_251_200, 500_000_000, "2024-03-01T00:00:00.5Z"),
            (1_795_275_045, 120_034_000, "2026-11-21T15:30:45.120034Z"),
            (4_107_542_399, 1, "2100-02-28T23:59:59.000000001Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
        ] {
            let moment = UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            assert_eq!(Timestamp(Some(moment)).to_string(), text);
        }
        assert_eq!(Timestamp(None).to_string(), "0001-01-01T00:00:00Z");
        let unset = UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(Timestamp(Some(unset)).to_string(), "0001-01-01T00:00:00Z");
    }
}
