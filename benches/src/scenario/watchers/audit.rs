//! The API server's own account of requests: its audit log, with an entry for each request as it was received.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

/// What was asked of the server, each by the moment when it was received, seconds of a day, ascending.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Requests {
    /// All.
    pub all: Vec<f64>,
    /// Lists, pages of them, and watches that begin with a list.
    pub lists: Vec<f64>,
}

/// An entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    verb: std::borrow::Cow<'a, str>,
    #[serde(rename = "requestURI", borrow)]
    uri: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    user_agent: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    request_received_timestamp: std::borrow::Cow<'a, str>,
}

/// Bytes of the log so far.
///
/// # Errors
/// Where there is no log.
pub fn length(log: &Path) -> Result<u64> {
    Ok(log.metadata().with_context(|| format!("stat({})", log.display()))?.len())
}

/// What clients whose name begins with `agent` have asked since the log was so long.
///
/// # Errors
/// Where the log cannot be read.
pub fn requests(log: &Path, since: u64, agent: &str) -> Result<Requests> {
    let mut text = String::new();
    let mut file = File::open(log).with_context(|| format!("open({})", log.display()))?;
    file.seek(SeekFrom::Start(since)).context("lseek")?;
    file.read_to_string(&mut text).context("read(audit log)")?;
    read(&text, agent)
}

fn read(text: &str, agent: &str) -> Result<Requests> {
    let mut found = Requests::default();
    for line in text.lines() {
        // A server that was killed may have left one unfinished.
        let Ok(entry) = serde_json::from_str::<Entry<'_>>(line) else { continue };
        if !entry.user_agent.starts_with(agent) {
            continue;
        }
        let at = seconds(&entry.request_received_timestamp).context("a time in the audit log")?;
        found.all.push(at);
        if entry.verb == "list" || entry.uri.contains("sendInitialEvents=true") {
            found.lists.push(at);
        }
    }
    // The log is in the order of writing.
    found.all.sort_by(f64::total_cmp);
    found.lists.sort_by(f64::total_cmp);
    Ok(found)
}

/// The most that came within any one second.
#[must_use]
pub fn peak(moments: &[f64]) -> usize {
    let within = |(number, at): (usize, &f64)| moments[number..].partition_point(|other| *other < at + 1.0);
    moments.iter().enumerate().map(within).max().unwrap_or(0)
}

/// Seconds of the day in a time such as 2026-01-01T12:34:56.789012Z.
fn seconds(time: &str) -> Option<f64> {
    let mut parts = time.split_once('T')?.1.strip_suffix('Z')?.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3_600.0 + next()? * 60.0 + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_apart() {
        let line = |agent, verb, query, time| {
            format!(
                r#"{{"kind":"Event","verb":"{verb}","requestURI":"/api/v1/services?{query}","userAgent":"{agent}","requestReceivedTimestamp":"2026-01-01T{time}Z"}}"#
            )
        };
        let text = [
            line("shunt/0.1.0", "watch", "watch=true&sendInitialEvents=true", "00:01:00.500000"),
            line("shunt/0.1.0", "watch", "watch=true&resourceVersion=7", "00:00:59.250000"),
            line("shunt/0.1.0", "list", "limit=500", "01:00:00.000000"),
            line("kube-apiserver/v1", "list", "limit=500", "01:00:00.000000"),
            r#"{"kind":"Event","verb":"li"#.to_owned(),
        ];
        let found = read(&text.join("\n"), "shunt/").unwrap();
        assert_eq!(found, Requests { all: vec![59.25, 60.5, 3_600.0], lists: vec![60.5, 3_600.0] });
    }

    #[test]
    fn the_peak_is_of_any_second_and_not_of_those_of_a_clock() {
        assert_eq!(peak(&[]), 0);
        assert_eq!(peak(&[0.5, 0.9, 1.1, 1.4, 1.5, 9.0]), 4);
        assert_eq!(peak(&[1.0, 1.0]), 2);
    }
}
