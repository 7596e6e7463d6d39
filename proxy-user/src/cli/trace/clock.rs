//! When something was, for people: events carry CLOCK_MONOTONIC.

use rustix::time::{ClockId, Timespec, clock_gettime};
use std::fmt;

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// The distance of the two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// CLOCK_REALTIME less CLOCK_MONOTONIC, nanoseconds.
    offset: i64,
}

impl Clock {
    /// Reads both clocks. The one that people read may be set at any time: read it again now and then.
    pub fn read() -> Self {
        let nanoseconds = |time: Timespec| time.tv_sec * SECOND + time.tv_nsec;
        Self {
            offset: nanoseconds(clock_gettime(ClockId::Realtime))
                - nanoseconds(clock_gettime(ClockId::Monotonic)),
        }
    }

    /// The moment that CLOCK_MONOTONIC calls so.
    pub const fn moment(self, monotonic: u64) -> Moment {
        Moment(self.offset.wrapping_add_unsigned(monotonic))
    }
}

/// A moment: nanoseconds since the Unix epoch. Shown in UTC as RFC 3339 has it, to the microsecond; `{:#}` is the time
/// of day alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment(pub i64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanoseconds) = (self.0.div_euclid(SECOND), self.0.rem_euclid(SECOND));
        let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let (micros, whole) = (nanoseconds / 1000, !f.alternate());
        if whole {
            let (year, month, day) = date(days);
            write!(f, "{year:04}-{month:02}-{day:02}T")?;
        }
        write!(f, "{hour:02}:{minute:02}:{second:02}.{micros:06}")?;
        if whole { f.write_str("Z") } else { Ok(()) }
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`. Years begin in March there, so that the leap day is a year's last.
const fn date(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + (month <= 2) as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        // By date(1): `date -u -d @SECONDS +%FT%TZ`.
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_868_799, "2000-02-29T23:59:59.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000Z"),
            (1_763_730_546, "2025-11-21T13:09:06.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Moment(seconds * SECOND).to_string(), wanted);
        }
        let moment = Moment(1_763_730_546 * SECOND + 12_345_678);
        assert_eq!(moment.to_string(), "2025-11-21T13:09:06.012345Z");
        assert_eq!(format!("{moment:#}"), "13:09:06.012345");
    }

    #[test]
    fn the_monotonic_clock_is_read_as_the_other() {
        let now = clock_gettime(ClockId::Monotonic);
        let moment = Clock::read().moment((now.tv_sec * SECOND + now.tv_nsec) as u64);
        let now = clock_gettime(ClockId::Realtime);
        let apart = now.tv_sec * SECOND + now.tv_nsec - moment.0;
        assert!((0..SECOND).contains(&apart), "{apart} ns");
    }
}
