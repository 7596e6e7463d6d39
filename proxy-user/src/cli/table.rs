//! `plan` and `dump` for people.

use super::{
    args::Output,
    document::{Document, HealthCheckDocument, PortDocument},
};
use crate::view::FrontendKind;
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

/// One row per service port; frontends beyond the first stand below it. Then the health checks.
fn render(document: &Document) -> String {
    let mut rows = vec![["SERVICE", "PROTOCOL", "FRONTENDS", "ENDPOINTS", "LOCAL"].map(str::to_owned)];
    for port in &document.services {
        let separator = if port.port.is_empty() { "" } else { ":" };
        let mut frontends = port.frontends.iter().map(ToString::to_string);
        rows.push([
            format!("{}/{}{separator}{}", port.namespace, port.name, port.port),
            format!("{}/{}", port.protocol, port.family),
            frontends.next().unwrap_or_default(),
            shorten(&port.cluster),
            local(port),
        ]);
        let below = |frontend| [String::new(), String::new(), frontend, String::new(), String::new()];
        rows.extend(frontends.map(below));
    }
    let widths: [usize; 5] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
    let zone = document.node.zone.as_deref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
    let mut text = format!("node {}{zone}: {} service ports\n", document.node.name, document.services.len());
    for row in rows.iter().filter(|_| rows.len() > 1) {
        let line: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    for check in &document.health_checks {
        let HealthCheckDocument { namespace, name, family, port, local_endpoints, status } = check;
        let _ = writeln!(
            text,
            "health check {namespace}/{name} {family} :{port}: {status}, {local_endpoints} ready here"
        );
    }
    text
}

fn shorten(endpoints: &[String]) -> String {
    match endpoints.len() {
        0 => "none: refused".to_owned(),
        count if count <= SHOWN => endpoints.join(" "),
        count => format!("{} and {} more", endpoints[..SHOWN].join(" "), count - SHOWN),
    }
}

/// Which endpoints a Local policy leaves, or whom it drops for want of one; without such a policy, how many
/// are on this node.
fn local(port: &PortDocument) -> String {
    let external = port.frontends.iter().any(|frontend| frontend.kind != FrontendKind::ClusterIp);
    let binds = |policy| policy == "Local" && !port.local.is_empty();
    let drops = |policy| policy == "Local" && port.local.is_empty() && port.any_usable;
    match (drops(port.internal_policy), external && drops(port.external_policy)) {
        (true, true) => "0: dropped".to_owned(),
        (true, false) => "0: internal dropped".to_owned(),
        (false, true) => "0: external dropped".to_owned(),
        (false, false) if binds(port.internal_policy) || external && binds(port.external_policy) => {
            shorten(&port.local)
        }
        (false, false) => port.local.len().to_string(),
    }
}
