//! Health checks of load balancers: what each answers from now on, told once the maps hold it.

use super::{Engine, Unplaced};
use crate::{
    cluster::ServiceId,
    model::ObjectName,
    select::{HealthCheck, health_check_addresses, select_health_check},
    table::PortHandle,
    writer::Writer,
};
use ahash::AHashMap;
use std::{collections::BTreeMap, net::IpAddr};

/// A Service's health check from now on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthChange {
    /// The Service.
    pub service: ObjectName,
    /// What is answered; `None` for a Service that has no health check any more.
    pub check: Option<HealthCheck>,
}

/// What changed for those who answer health checks. All of it is true of what the maps hold: a load balancer
/// must not be told of an endpoint that it cannot reach yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HealthReport {
    /// Services whose answer, port or existence changed, each once, by name.
    pub changes: Vec<HealthChange>,
    /// Where they are answered, ascending, if that changed; an unspecified address stands for every address of
    /// its family.
    pub addresses: Option<Vec<IpAddr>>,
}

/// Health checks as they are planned, and what was not told yet.
#[derive(Debug, Default)]
pub(super) struct HealthChecks {
    planned: AHashMap<ServiceId, HealthCheck>,
    addresses: Option<Vec<IpAddr>>,
    /// What waits for the maps: by service the last of its changes.
    changed: BTreeMap<ObjectName, Option<HealthCheck>>,
    moved: bool,
}

impl HealthChecks {
    fn plan(&mut self, id: ServiceId, name: &ObjectName, check: Option<HealthCheck>) {
        let before = match check {
            Some(check) => self.planned.insert(id, check),
            // Most services have none.
            None if self.planned.is_empty() => None,
            None => self.planned.remove(&id),
        };
        if before != check {
            self.changed.insert(name.clone(), check);
        }
    }

    /// The maps hold all that was planned.
    pub fn committed(&mut self) -> HealthReport {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let addresses = std::mem::take(&mut self.moved).then(|| self.addresses.clone()).flatten();
        HealthReport {
            changes: changed.map(|(service, check)| HealthChange { service, check }).collect(),
            addresses,
        }
    }
}

impl<W: Writer> Engine<W> {
    /// Takes back a report that nobody has heard: the next sync tells it again.
    pub fn unheard(&mut self, report: HealthReport) {
        for HealthChange { service, check } in report.changes {
            self.health.changed.entry(service).or_insert(check);
        }
        self.health.moved |= report.addresses.is_some();
    }

    /// Plans what is answered for one service whose ports were planned: `programmed`, and of those that do not
    /// fit, `unplaced`.
    ///
    /// A family in which a port found no room at all has no ready endpoint: who asks the node for it would be
    /// refused. While a first list is held back, endpoints that nobody has listed yet do not count, though the
    /// maps may still have them from a former agent.
    pub(super) fn plan_health_check(
        &mut self,
        id: ServiceId,
        programmed: &[PortHandle],
        unplaced: &[Unplaced],
    ) {
        let Some(known) = self.cluster.service(id) else { return };
        let service = known.service.as_ref();
        let mut check = service.and_then(|service| select_health_check(service, self.cluster.slices(known)));
        if let Some(check) = &mut check {
            let is_missing = |unplaced: &&Unplaced| {
                !programmed.iter().any(|handle| self.table.id(*handle) == Some(&unplaced.port))
            };
            for missing in unplaced.iter().filter(is_missing) {
                check.ready[missing.port.family as usize] = Some(0);
            }
        }
        self.health.plan(id, &known.name, check);
    }

    /// Plans where health checks are answered.
    pub(super) fn plan_health_addresses(&mut self) {
        let (node, local) = (self.cluster.node(), self.cluster.local_addresses());
        let addresses = Some(health_check_addresses(&self.rules.node_ports, node, local));
        self.health.moved |= self.health.addresses != addresses;
        self.health.addresses = addresses;
    }
}
