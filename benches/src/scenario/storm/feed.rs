//! The storm itself: watch events of slices, each of which replaces one pod of its service.

use super::{
    ages::{Ages, Sort},
    server::chunk,
};
use crate::{cluster::SampleCluster, objects};
use anyhow::{Context as _, Result};
use std::{
    net::{IpAddr, Ipv4Addr, TcpStream},
    num::NonZeroU64,
    thread,
    time::{Duration, Instant},
};

/// Where addresses of replaced pods begin: no other pod has one from here on. The address of the number `n` is so many
/// further: it tells which update the maps hold.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 192, 0, 0]);

/// Stands in a template for the address, and for the version.
const ADDRESS: &str = "10.191.255.255";
const VERSION: &str = "999999999";

/// When updates are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// So many noisy ones a second, whatever becomes of them.
    Rate(u32),
    /// As many as are taken.
    Full,
}

/// A connection that the agent reads its slices from.
pub struct Feed {
    stream: TcpStream,
    version: u64,
}

/// A slice of a service, around what changes in it.
pub struct Template {
    /// The service.
    pub service: u32,
    parts: [String; 3],
}

impl Template {
    /// That of a service: its first endpoint is what changes.
    ///
    /// # Panics
    /// Where the placeholders are not found, which the test below excludes.
    #[must_use]
    pub fn new(cluster: &SampleCluster, service: u32) -> Self {
        let mut slice = cluster.slice_with(service, 0);
        slice.endpoints[0].address = ADDRESS.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let (_, object) = objects::slice(&slice, None);
        // As an API server writes it: kind and version come first, then the name.
        let (name, labels) = (&object["metadata"]["name"], &object["metadata"]["labels"]);
        let namespace = &object["metadata"]["namespace"];
        // What a real one carries too: the agent skips it.
        let fields = serde_json::json!([{
            "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "discovery.k8s.io/v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:addressType": {}, "f:endpoints": {}, "f:ports": {}, "f:metadata": {"f:labels": {}}},
        }]);
        let metadata = format!(
            "\"name\":{name},\"namespace\":{namespace},\"uid\":\"6f1d3c1e-0000-4000-8000-000000000000\",\
             \"resourceVersion\":\"{VERSION}\",\"generation\":1,\"labels\":{labels},\"managedFields\":{fields}"
        );
        let rest = format!(
            "\"addressType\":{},\"endpoints\":{},\"ports\":{}",
            object["addressType"], object["endpoints"], object["ports"]
        );
        let head = "\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\"";
        let frame =
            format!("{{\"type\":\"MODIFIED\",\"object\":{{{head},\"metadata\":{{{metadata}}},{rest}}}}}\n");
        let place = |text| frame.find(text).unwrap_or_else(|| panic!("no {text} in {frame}"));
        let (version, address) = (place(VERSION), place(ADDRESS));
        let parts =
            [&frame[..version], &frame[version + VERSION.len()..address], &frame[address + ADDRESS.len()..]];
        Self { service, parts: parts.map(str::to_owned) }
    }

    fn frame(&self, number: u32, version: u64) -> String {
        let [before, between, after] = &self.parts;
        format!("{before}{version}{between}{}{after}", address(number))
    }
}

/// The address of the pod that an update brings.
#[must_use]
pub fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST_ADDRESS + number)
}

/// The number of the update that has brought a pod, if one did.
#[must_use]
pub fn number(address: IpAddr) -> Option<u32> {
    let IpAddr::V4(address) = address else { return None };
    address.to_bits().checked_sub(FIRST_ADDRESS).filter(|number| *number < 1 << 22)
}

impl Feed {
    /// On a connection whose list had this version.
    pub const fn new(stream: TcpStream, version: u64) -> Self {
        Self { stream, version }
    }

    /// Sends updates of the noisy services one after the other, over and over, and each quiet one once a second; tells
    /// the ages of each. Gives back how many it has sent.
    ///
    /// # Errors
    /// Where the agent closes the connection.
    pub fn storm(
        &mut self,
        noisy: &[Template],
        quiet: &[Template],
        pace: Pace,
        lasts: Duration,
        ages: &Ages,
    ) -> Result<u32> {
        // Otherwise a sleep takes 50 us longer than it is told.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).context("PR_SET_TIMERSLACK")?;
        let start = Instant::now();
        let between = |rate: usize| Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX);
        let gaps = [
            match pace {
                Pace::Rate(rate) => between(rate as usize),
                Pace::Full => Duration::ZERO,
            },
            between(quiet.len()),
        ];
        let (mut due, mut sent) = ([start; 2], [0_usize; 2]);
        while start.elapsed() < lasts {
            let now = Instant::now();
            // Where both are due, quiet ones are no more punctual than others would be in their place.
            let sort = if due[1] <= due[0].max(now) && due[1] <= now { Sort::Quiet } else { Sort::Noisy };
            let next = due[sort as usize];
            if next > now {
                thread::sleep((next - now).min(Duration::from_millis(1)));
                continue;
            }
            let of = if sort == Sort::Quiet { quiet } else { noisy };
            let template = &of[sent[sort as usize] % of.len()];
            // Where nobody has set a time, it is sent when it is written.
            let at = if pace == Pace::Full { now } else { next };
            self.send(template, at, sort, ages)?;
            sent[sort as usize] += 1;
            due[sort as usize] = next + gaps[sort as usize];
        }
        Ok((sent[0] + sent[1]) as u32)
    }

    fn send(&mut self, template: &Template, due: Instant, sort: Sort, ages: &Ages) -> Result<()> {
        self.version += 1;
        let number = ages.sent(template.service, due, sort);
        let frame = template.frame(number, self.version);
        chunk(&mut self.stream, frame.as_bytes()).context("the agent has closed its watch")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_frame_says_which_update_it_is() {
        let template = Template::new(&SampleCluster::new(3, 10), 2);
        let frame: Value = serde_json::from_str(&template.frame(70_000, 1_234)).unwrap();
        assert_eq!(frame["object"]["metadata"]["resourceVersion"], "1234");
        let first = frame["object"]["endpoints"][0]["addresses"][0].as_str().unwrap();
        assert_eq!(number(first.parse().unwrap()), Some(70_000));
        let other = frame["object"]["endpoints"][1]["addresses"][0].as_str().unwrap();
        assert_eq!(number(other.parse().unwrap()), None);
    }
}
