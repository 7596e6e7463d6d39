//! What service ports have carried between two moments, from totals that belong to indices.

use crate::{
    kernel::PinnedMaps,
    model::PortId,
    view::port_id,
    writer::{MapReader, WriteError},
};
use proxy_common::abi::ServiceStats;
use std::{collections::BTreeMap, time::Duration};

/// The totals of every index at one moment, and who has it.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By index; as far as they were read.
    pub totals: Vec<ServiceStats>,
    /// Indices that a service port has.
    pub ports: BTreeMap<u32, PortId>,
}

impl Snapshot {
    /// Reads the maps: first the totals, then the names. An index is given to another service port only after the former
    /// one's last connection has begun, so what its totals gain from here on is the new one's.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn read(maps: &PinnedMaps) -> Result<Self, WriteError> {
        let named = |index: &u32| maps.service(*index).is_some_and(|service| service.name != 0);
        let last = (0..maps.capacities().services).rev().find(named);
        let totals = maps.stats(last.map_or(0, |last| last + 1))?;
        let ports = (0..totals.len() as u32).filter(named);
        Ok(Self { ports: ports.filter_map(|index| Some((index, port_id(maps, index)?))).collect(), totals })
    }
}

/// What service ports have carried since the start.
#[derive(Debug)]
pub struct Tally {
    last: Snapshot,
    /// By index, of the service ports that `last` names.
    sums: BTreeMap<u32, ServiceStats>,
}

/// A service port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Which one.
    pub port: PortId,
    /// What it carried in the last interval.
    pub gained: ServiceStats,
    /// What it has carried since the start, or since it was first seen.
    pub sum: ServiceStats,
}

impl Tally {
    /// Begins at a moment.
    pub fn new(first: Snapshot) -> Self {
        Self {
            sums: first.ports.keys().map(|index| (*index, ServiceStats::default())).collect(),
            last: first,
        }
    }

    /// Goes on to the next moment.
    pub fn advance(&mut self, next: Snapshot) -> Vec<Row> {
        let mut sums = BTreeMap::new();
        let mut rows = Vec::new();
        for (index, port) in &next.ports {
            let now = next.totals.get(*index as usize).copied().unwrap_or_default();
            let before = self.last.totals.get(*index as usize).copied();
            let former = self.last.ports.get(index);
            let gained = match (before, former) {
                (Some(before), Some(former)) if former == port => gain(before, now),
                // Nobody had the index then.
                (Some(before), None) => gain(before, now),
                // What of it another service port carried is not known.
                _ => ServiceStats::default(),
            };
            let base = match former {
                Some(former) if former == port => self.sums.get(index).copied().unwrap_or_default(),
                _ => ServiceStats::default(),
            };
            let sum = each(base, gained, u64::saturating_add);
            sums.insert(*index, sum);
            rows.push(Row { port: port.clone(), gained, sum });
        }
        (self.sums, self.last) = (sums, next);
        rows
    }
}

/// From one total to the next. One that is smaller is another map's: nothing.
fn gain(before: ServiceStats, now: ServiceStats) -> ServiceStats {
    each(now, before, u64::saturating_sub)
}

fn each(a: ServiceStats, b: ServiceStats, of: impl Fn(u64, u64) -> u64) -> ServiceStats {
    ServiceStats {
        flows: of(a.flows, b.flows),
        bytes_to_backends: of(a.bytes_to_backends, b.bytes_to_backends),
        bytes_to_clients: of(a.bytes_to_clients, b.bytes_to_clients),
    }
}

/// So much in an interval, per second.
pub fn per_second(gained: u64, interval: Duration) -> f64 {
    gained as f64 / interval.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Family, ObjectName, Protocol};

    fn port(name: &str) -> PortId {
        PortId {
            service: ObjectName::new("default", name),
            port: "http".into(),
            protocol: Protocol::Tcp,
            family: Family::V4,
        }
    }

    fn stats(flows: u64) -> ServiceStats {
        ServiceStats { flows, bytes_to_backends: 10 * flows, bytes_to_clients: 100 * flows }
    }

    fn snapshot(totals: &[u64], ports: &[(u32, &str)]) -> Snapshot {
        Snapshot {
            totals: totals.iter().copied().map(stats).collect(),
            ports: ports.iter().map(|(index, name)| (*index, port(name))).collect(),
        }
    }

    /// Name, connections of the interval and since the start; the bytes keep in step.
    fn advance(tally: &mut Tally, next: Snapshot) -> Vec<(String, u64, u64)> {
        let rows = tally.advance(next);
        rows.into_iter()
            .map(|row| {
                assert_eq!((row.gained, row.sum), (stats(row.gained.flows), stats(row.sum.flows)));
                (row.port.service.name.to_string(), row.gained.flows, row.sum.flows)
            })
            .collect()
    }

    fn row(name: &str, gained: u64, sum: u64) -> (String, u64, u64) {
        (name.to_owned(), gained, sum)
    }

    #[test]
    fn totals_count_from_the_start() {
        let mut tally = Tally::new(snapshot(&[1_000, 50], &[(0, "a"), (1, "b")]));
        let rows = advance(&mut tally, snapshot(&[1_003, 50], &[(0, "a"), (1, "b")]));
        assert_eq!(rows, [row("a", 3, 3), row("b", 0, 0)]);
        let rows = advance(&mut tally, snapshot(&[1_010, 51], &[(0, "a"), (1, "b")]));
        assert_eq!(rows, [row("a", 7, 10), row("b", 1, 1)]);
    }

    #[test]
    fn an_index_that_another_service_port_has_by_now_begins_anew() {
        let mut tally = Tally::new(snapshot(&[1_000], &[(0, "a")]));
        assert_eq!(advance(&mut tally, snapshot(&[1_005], &[(0, "a")])), [row("a", 5, 5)]);
        assert_eq!(advance(&mut tally, snapshot(&[1_009], &[(0, "b")])), [row("b", 0, 0)]);
        assert_eq!(advance(&mut tally, snapshot(&[1_010], &[(0, "b")])), [row("b", 1, 1)]);
        // And so does one that moves to another index.
        let rows = advance(&mut tally, snapshot(&[1_010, 7], &[(1, "b")]));
        assert_eq!(rows, [row("b", 0, 0)]);
    }

    #[test]
    fn a_new_service_port_has_what_an_index_gained_that_was_nobodys() {
        let mut tally = Tally::new(snapshot(&[5, 20], &[(0, "a")]));
        let rows = advance(&mut tally, snapshot(&[5, 24], &[(0, "a"), (1, "new")]));
        assert_eq!(rows, [row("a", 0, 0), row("new", 4, 4)]);
        // Of one beyond what was read then, nothing is known.
        let rows = advance(&mut tally, snapshot(&[5, 24, 9], &[(2, "newer")]));
        assert_eq!(rows, [row("newer", 0, 0)]);
    }

    #[test]
    fn totals_that_shrink_are_no_gain() {
        let mut tally = Tally::new(snapshot(&[1_000], &[(0, "a")]));
        assert_eq!(advance(&mut tally, snapshot(&[3], &[(0, "a")])), [row("a", 0, 0)]);
        assert_eq!(advance(&mut tally, snapshot(&[5], &[(0, "a")])), [row("a", 2, 2)]);
    }

    #[test]
    fn a_rate_is_per_second() {
        assert_eq!(per_second(10, Duration::from_millis(500)), 20.0);
        assert_eq!(per_second(3, Duration::from_secs(2)), 1.5);
        assert!(per_second(1, Duration::ZERO).is_finite());
    }
}
