//! `plan` and `dump` for people.

use super::{args::Output, document::Document};
use std::{fmt::Write as _, io, io::Write as _};

/// Endpoints that a row shows before it only counts the rest.
const SHOWN: usize = 4;

/// Prints a document in the format that was asked for.
///
/// # Errors
/// Where standard output is closed.
pub fn print(document: &Document, output: Output) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, document)?;
            writeln!(out)
        }
        Output::Table => out.write_all(render(document).as_bytes()),
    }
}

fn render(document: &Document) -> String {
    let mut rows = vec![["SERVICE", "PROTOCOL", "FRONTENDS", "ENDPOINTS", "LOCAL"].map(str::to_owned)];
    for port in &document.services {
        let separator = if port.port.is_empty() { "" } else { ":" };
        rows.push([
            format!("{}/{}{separator}{}", port.namespace, port.name, port.port),
            format!("{}/{}", port.protocol, port.family),
            port.frontends.iter().map(|f| join(&f.address, f.port)).collect::<Vec<_>>().join(" "),
            shorten(&port.cluster),
            port.local.len().to_string(),
        ]);
    }
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let zone = document.node.zone.as_deref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
    let mut text = format!("node {}{zone}: {} service ports\n", document.node.name, document.services.len());
    for row in rows.iter().filter(|_| rows.len() > 1) {
        let line: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    text
}

fn join(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn shorten(endpoints: &[String]) -> String {
    match endpoints.len() {
        0 => "none: refused".to_owned(),
        count if count <= SHOWN => endpoints.join(" "),
        count => format!("{} and {} more", endpoints[..SHOWN].join(" "), count - SHOWN),
    }
}
