//! What an operator must know of a sync and of the servers, as Events: the log says the same.

use super::super::problems::{NAMED, conflict_text, growth_text, remedy};
use crate::{
    engine::SyncReport,
    recorder::{Notice, Reason},
    server::News,
    table::{Conflict, Full},
};
use std::collections::BTreeMap;

/// Service ports that found no room: each of the first ones at its Service, and each full map at the Node.
pub fn room(report: &SyncReport) -> Vec<Notice> {
    let mut maps: BTreeMap<Full, usize> = BTreeMap::new();
    for unplaced in &report.newly_unplaced {
        *maps.entry(unplaced.full).or_default() += 1;
    }
    let nodes = maps.iter().map(|(full, count)| {
        let note = format!(
            "{full}: {count} service ports do not fit wholly. {} for more of it",
            remedy(full, report.fixed.as_ref())
        );
        Notice::node(Reason::MapFull, note)
    });
    let own = report.node_unplaced.iter().map(|full| {
        Notice::node(Reason::MapFull, format!("{full}: not all that is known of this node fits"))
    });
    let services = report
        .newly_unplaced
        .iter()
        .take(NAMED)
        .map(|unplaced| Notice::service(&unplaced.port.service, Reason::MapFull, unplaced.to_string()));
    nodes.chain(own).chain(services).collect()
}

/// Maps that were made larger, and what kept them from it: at the Node.
pub fn growth(report: &SyncReport) -> Vec<Notice> {
    let grown = report.growths.iter().map(|growth| Notice::node(Reason::MapsGrown, growth_text(growth)));
    let failed = report.growth_failed.iter();
    let failed =
        failed.map(|why| Notice::node(Reason::MapsNotGrown, format!("maps could not be made larger: {why}")));
    grown.chain(failed).collect()
}

/// Frontends that more than one Service claims: at each Service that has to do without.
pub fn conflicts<'a>(conflicts: impl IntoIterator<Item = &'a Conflict>) -> Vec<Notice> {
    let notice = |conflict: &Conflict| {
        Notice::service(&conflict.loser.service, Reason::AddressConflict, conflict_text(conflict))
    };
    conflicts.into_iter().take(NAMED).map(notice).collect()
}

/// Health checks that load balancers cannot ask for: at each Service.
pub fn health_checks(news: &News) -> Vec<Notice> {
    let reason = Reason::FailedToStartServiceHealthcheck;
    let notice =
        |problem: &crate::server::Problem| Notice::service(&problem.service, reason, problem.to_string());
    news.failed.iter().take(NAMED).map(notice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Unplaced,
        model::{Family, ObjectName, PortId, Protocol},
        recorder::About,
    };

    fn port(service: &str) -> PortId {
        let service = ObjectName::new("default", service);
        PortId { service, port: "http".into(), protocol: Protocol::Tcp, family: Family::V4 }
    }

    #[test]
    fn a_full_map_is_told_once_at_the_node_and_at_the_first_services() {
        let full = Full { map: "BACKENDS", capacity: 4 };
        let unplaced = (0..20).map(|number| Unplaced { port: port(&format!("s{number}")), full });
        let report = SyncReport { newly_unplaced: unplaced.collect(), ..SyncReport::default() };
        let notices = room(&report);
        let nodes: Vec<_> = notices.iter().filter(|notice| notice.about == About::Node).collect();
        assert_eq!((nodes.len(), notices.len()), (1, 1 + NAMED));
        assert!(nodes[0].note.contains("20 service ports") && nodes[0].note.contains("--max-endpoints"));
        assert!(room(&SyncReport::default()).is_empty());
    }
}
