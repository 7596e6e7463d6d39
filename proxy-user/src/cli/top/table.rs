//! What service ports carry, as a table or as a JSON object.

use super::tally::{Row, per_second};
use clap::ValueEnum;
use serde::Serialize;
use std::{cmp::Reverse, fmt::Write as _, time::Duration};

const HEADS: [&str; 8] = [
    "SERVICE",
    "PROTOCOL",
    "CONN/s",
    "CONN",
    "TO ENDPOINTS/s*",
    "TO ENDPOINTS*",
    "TO CLIENTS/s*",
    "TO CLIENTS*",
];

const FOOTNOTE: &str = "* bytes of packets that were translated: what sockets of this node carry is not seen";

/// What comes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Sort {
    /// Connections, and unconnected UDP sockets' first datagrams.
    #[default]
    Connections,
    /// Bytes of packets, both ways.
    Bytes,
}

/// Service ports at one moment, in order.
pub struct Table {
    rows: Vec<Row>,
    /// Service ports that are not shown.
    more: usize,
    /// Time since the start.
    since: Duration,
    /// Time since the last table.
    interval: Duration,
}

impl Table {
    /// The first `limit` of the rows.
    pub fn new(mut rows: Vec<Row>, sort: Sort, limit: usize, since: Duration, interval: Duration) -> Self {
        let key = |row: &Row| {
            let of = |stats: proxy_common::abi::ServiceStats| match sort {
                Sort::Connections => stats.flows,
                Sort::Bytes => stats.bytes_to_backends.saturating_add(stats.bytes_to_clients),
            };
            Reverse((of(row.gained), of(row.sum)))
        };
        rows.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.port.cmp(&b.port)));
        let more = rows.len().saturating_sub(limit);
        rows.truncate(limit);
        Self { rows, more, since, interval }
    }

    /// For people.
    pub fn render(&self) -> String {
        let mut cells = vec![HEADS.map(str::to_owned)];
        cells.extend(self.rows.iter().map(|row| self.cells(row)));
        let widths: [usize; 8] =
            std::array::from_fn(|column| cells.iter().map(|row| row[column].len()).max().unwrap_or(0));
        let count = self.rows.len() + self.more;
        let mut text =
            format!("{count} service ports, watched for {}\n", rounded(self.since.as_secs_f64(), "s"));
        for row in &cells {
            let [service, protocol, numbers @ ..] = row;
            let _ = write!(text, "{service:0$}  {protocol:1$}", widths[0], widths[1]);
            for (number, width) in numbers.iter().zip(&widths[2..]) {
                let _ = write!(text, "  {number:>width$}");
            }
            text.push('\n');
        }
        if self.more > 0 {
            let _ = writeln!(text, "and {} more", self.more);
        }
        let _ = writeln!(text, "{FOOTNOTE}");
        text
    }

    fn cells(&self, row: &Row) -> [String; 8] {
        let Row { port, gained, sum } = row;
        let separator = if port.port.is_empty() { "" } else { ":" };
        let rate = |gained| per_second(gained, self.interval);
        [
            format!("{}{separator}{}", port.service, port.port),
            format!("{}/{}", port.protocol, port.family),
            rounded(rate(gained.flows), ""),
            sum.flows.to_string(),
            bytes(rate(gained.bytes_to_backends)),
            bytes(sum.bytes_to_backends as f64),
            bytes(rate(gained.bytes_to_clients)),
            bytes(sum.bytes_to_clients as f64),
        ]
    }

    /// For programs.
    pub fn document(&self) -> TableDocument<'_> {
        TableDocument {
            seconds: self.since.as_secs_f64(),
            interval_seconds: self.interval.as_secs_f64(),
            service_ports: self.rows.len() + self.more,
            services: self.rows.iter().map(|row| RowDocument::new(row, self.interval)).collect(),
        }
    }
}

/// A table's JSON object.
#[derive(Serialize)]
pub struct TableDocument<'a> {
    /// Since the start.
    seconds: f64,
    /// What rates are measured over.
    interval_seconds: f64,
    /// How many there are; `services` has the first of them.
    service_ports: usize,
    services: Vec<RowDocument<'a>>,
}

#[derive(Serialize)]
struct RowDocument<'a> {
    namespace: &'a str,
    name: &'a str,
    port: &'a str,
    protocol: String,
    family: String,
    connections_per_second: f64,
    connections: u64,
    packet_bytes_to_endpoints_per_second: f64,
    packet_bytes_to_endpoints: u64,
    packet_bytes_to_clients_per_second: f64,
    packet_bytes_to_clients: u64,
}

impl<'a> RowDocument<'a> {
    fn new(row: &'a Row, interval: Duration) -> Self {
        let Row { port, gained, sum } = row;
        let rate = |gained| per_second(gained, interval);
        Self {
            namespace: &port.service.namespace,
            name: &port.service.name,
            port: &port.port,
            protocol: port.protocol.to_string(),
            family: port.family.to_string(),
            connections_per_second: rate(gained.flows),
            connections: sum.flows,
            packet_bytes_to_endpoints_per_second: rate(gained.bytes_to_backends),
            packet_bytes_to_endpoints: sum.bytes_to_backends,
            packet_bytes_to_clients_per_second: rate(gained.bytes_to_clients),
            packet_bytes_to_clients: sum.bytes_to_clients,
        }
    }
}

/// With one decimal where that says something.
fn rounded(number: f64, unit: &str) -> String {
    if number > 0.0 && number < 99.95 { format!("{number:.1}{unit}") } else { format!("{number:.0}{unit}") }
}

/// `0`, `512`, `1.5K`, `23.4M`: bytes, and powers of 1024.
fn bytes(number: f64) -> String {
    const UNITS: [&str; 6] = ["", "K", "M", "G", "T", "P"];
    let mut number = number;
    let mut unit = 0;
    while number >= 1023.5 && unit + 1 < UNITS.len() {
        (number, unit) = (number / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{number:.0}") } else { rounded(number, UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, ObjectName, PortId, Protocol};
    use proxy_common::abi::ServiceStats;

    fn row(name: &str, protocol: Protocol, gained: [u64; 3], sum: [u64; 3]) -> Row {
        let stats = |[flows, bytes_to_backends, bytes_to_clients]: [u64; 3]| ServiceStats {
            flows,
            bytes_to_backends,
            bytes_to_clients,
        };
        let port = if name == "bare" { "" } else { "http" };
        let service = ObjectName::new("default", name);
        let port = PortId { service, port: port.into(), protocol, family: Family::V4 };
        Row { port, gained: stats(gained), sum: stats(sum) }
    }

    fn rows() -> Vec<Row> {
        vec![
            row("idle", Protocol::Tcp, [0, 0, 0], [0, 0, 0]),
            row("bare", Protocol::Udp, [3, 0, 0], [7, 0, 0]),
            row("web", Protocol::Tcp, [2_500, 4_096, 10_000_000], [100_000, 1_023, 5_000_000_000]),
            row("calm", Protocol::Tcp, [3, 100, 0], [12, 2_048, 0]),
        ]
    }

    fn table(sort: Sort, limit: usize) -> Table {
        Table::new(rows(), sort, limit, Duration::from_millis(38_040), Duration::from_secs(2))
    }

    #[test]
    fn the_busiest_come_first_in_columns() {
        assert_eq!(
            table(Sort::Connections, 20).render(),
            "\
4 service ports, watched for 38.0s
SERVICE            PROTOCOL  CONN/s    CONN  TO ENDPOINTS/s*  TO ENDPOINTS*  TO CLIENTS/s*  TO CLIENTS*
default/web:http   TCP/IPv4    1250  100000             2.0K           1023           4.8M         4.7G
default/calm:http  TCP/IPv4     1.5      12               50           2.0K              0            0
default/bare       UDP/IPv4     1.5       7                0              0              0            0
default/idle:http  TCP/IPv4       0       0                0              0              0            0
* bytes of packets that were translated: what sockets of this node carry is not seen
"
        );
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let text = table(Sort::Connections, 1).render();
        assert!(text.starts_with("4 service ports"), "{text}");
        assert!(text.contains("default/web") && !text.contains("default/calm"), "{text}");
        assert!(text.contains("\nand 3 more\n"), "{text}");
    }

    #[test]
    fn bytes_of_both_ways_may_decide() {
        let by_bytes: Vec<_> =
            table(Sort::Bytes, 20).rows.into_iter().map(|row| row.port.service.name).collect();
        assert_eq!(by_bytes, ["web", "calm", "bare", "idle"]);
        let mut quiet = rows();
        quiet[0].gained.bytes_to_clients = 101;
        let table = Table::new(quiet, Sort::Bytes, 2, Duration::ZERO, Duration::from_secs(1));
        let by_bytes: Vec<_> = table.rows.into_iter().map(|row| row.port.service.name).collect();
        assert_eq!(by_bytes, ["web", "idle"]);
    }

    #[test]
    fn a_table_for_programs_has_plain_numbers() {
        let table = table(Sort::Connections, 1);
        assert_eq!(
            serde_json::to_string(&table.document()).unwrap(),
            r#"{"seconds":38.04,"interval_seconds":2.0,"service_ports":4,"services":[{"namespace":"default","name":"web","port":"http","protocol":"TCP","family":"IPv4","connections_per_second":1250.0,"connections":100000,"packet_bytes_to_endpoints_per_second":2048.0,"packet_bytes_to_endpoints":1023,"packet_bytes_to_clients_per_second":5000000.0,"packet_bytes_to_clients":5000000000}]}"#
        );
    }

    #[test]
    fn bytes_are_short_and_never_of_four_digits_and_a_unit() {
        for (number, text) in [
            (0.0, "0"),
            (0.4, "0"),
            (1023.0, "1023"),
            (1024.0, "1.0K"),
            (1023.6, "1.0K"),
            (102_400.0, "100K"),
            (1_048_000.0, "1023K"),
            (1_048_576.0, "1.0M"),
            (1.8e19, "15987P"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
