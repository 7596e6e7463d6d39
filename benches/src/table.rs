//! Reports as text for people.

use crate::report::{Bound, Figure, Report};
use std::fmt::Write as _;

/// All figures as one table, then all targets.
#[must_use]
pub fn render(reports: &[Report]) -> String {
    let header = ["", "services", "unit", "median", "p99", "min", "max", "n"].map(str::to_owned);
    let mut rows = vec![header];
    for report in reports {
        rows.push(std::array::from_fn(|column| {
            if column == 0 { format!("[{}] {}", report.scenario, report.about) } else { String::new() }
        }));
        rows.extend(report.figures.iter().map(row));
    }
    let mut text = columns(&rows);
    if reports.iter().any(|report| !report.targets.is_empty()) {
        text.push_str("\ntargets\n");
    }
    for target in reports.iter().flat_map(|report| &report.targets) {
        let (verdict, unit) = (if target.met { "met   " } else { "MISSED" }, target.unit);
        let (limit, value) = (number(target.limit), number(target.value));
        let bound = if target.bound == Bound::Most { "most" } else { "least" };
        let _ = writeln!(text, "  {verdict} {}: {value} {unit} (at {bound} {limit})", target.what);
    }
    text
}

fn row(figure: &Figure) -> [String; 8] {
    let Figure { what, services, unit, median, p99, min, max, n } = figure;
    [
        format!("  {what}"),
        services.to_string(),
        unit.clone(),
        number(*median),
        number(*p99),
        number(*min),
        number(*max),
        n.to_string(),
    ]
}

/// The first and the third column to the left, numbers to the right.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    // A heading, alone in its row, may be wider than its column.
    let in_column = |row: &&[String; N]| row[1..].iter().any(|cell| !cell.is_empty());
    let width = |column: usize| rows.iter().filter(in_column).map(|row| row[column].len()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column == 0 || column == 2 {
                write!(line, "{cell:<width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Three significant digits, whole numbers from a hundred on.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 || value == value.trunc() => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Target;

    #[test]
    fn columns_stand_under_each_other() {
        let mut report = Report::new("change", "an endpoint comes or goes");
        report.figures.push(Figure::new("one", 100, "ns", vec![250.0]));
        report.figures.push(Figure::new("another", 100_000, "ns", vec![1.234]));
        report.targets.push(Target::at_most("ratio", "", 1.5, 2.0));
        let text = render(&[report]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "[change] an endpoint comes or goes");
        assert_eq!(lines[2], "  one           100  ns       250   250   250   250  1");
        assert_eq!(lines[3], "  another    100000  ns      1.23  1.23  1.23  1.23  1");
        assert_eq!(lines[5..], ["targets", "  MISSED ratio: 2  (at most 1.50)"]);
    }
}
