//! Numbers, times and bars as people read them.

use std::time::Duration;

/// A count with its thousands parted: `12,345`.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time of three digits or so: `412 ns`, `1.25 µs`, `38.2 µs`, `41 ms`, `6.2 s`.
pub fn time(time: Duration) -> String {
    nanoseconds(time.as_nanos() as f64)
}

/// What a time is longer than another: `+190 ns`, `-0.3 µs`.
pub fn difference(time: Duration, than: Duration) -> String {
    let difference = time.as_nanos() as f64 - than.as_nanos() as f64;
    let sign = if difference < 0.0 { '-' } else { '+' };
    format!("{sign}{}", nanoseconds(difference.abs()))
}

fn nanoseconds(ns: f64) -> String {
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e4 => format!("{:.2} µs", ns / 1e3),
        _ if ns < 1e5 => format!("{:.1} µs", ns / 1e3),
        _ if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        _ if ns < 1e9 => format!("{:.0} ms", ns / 1e6),
        _ => format!("{:.1} s", ns / 1e9),
    }
}

/// A bar of `width` cells that is full at `whole`, in steps of half a cell.
pub fn bar(part: usize, whole: usize, width: usize) -> String {
    let halves = (part * width * 2 + whole / 2).checked_div(whole).unwrap_or(0).min(width * 2);
    let half = if halves % 2 == 1 { "▌" } else { "" };
    format!("{}{half}", "█".repeat(halves / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_parted_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        for (ns, text) in [
            (412, "412 ns"),
            (1_254, "1.25 µs"),
            (38_240, "38.2 µs"),
            (412_000, "412 µs"),
            (41_000_000, "41 ms"),
            (6_240_000_000, "6.2 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(ns)), text);
        }
        let (short, long) = (Duration::from_nanos(500), Duration::from_nanos(690));
        assert_eq!(difference(long, short), "+190 ns");
        assert_eq!(difference(short, long), "-190 ns");
    }

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        for (part, whole, text) in
            [(0, 4, ""), (1, 4, "█"), (3, 8, "█▌"), (4, 4, "████"), (9, 4, "████"), (1, 0, "")]
        {
            assert_eq!(bar(part, whole, 4), text, "{part}/{whole}");
        }
    }
}
