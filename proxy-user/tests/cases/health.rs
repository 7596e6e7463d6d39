//! The health checks that an agent has told of, against what its maps say and what a case expects.

use super::expectation::same;
use shunt::{
    engine::{HealthChange, HealthReport},
    model::{Family, ObjectName},
    select::HealthCheck,
    view::{HealthCheckView, PortView, health_checks},
};
use std::collections::BTreeMap;

/// What was told since the agent began.
#[derive(Default)]
pub struct Told(BTreeMap<ObjectName, HealthCheck>);

impl Told {
    pub fn hear(&mut self, report: &HealthReport) {
        for HealthChange { service, check } in &report.changes {
            match check {
                Some(check) => drop(self.0.insert(service.clone(), *check)),
                None => drop(self.0.remove(service)),
            }
        }
    }

    /// It is what the maps hold by now, and what a step expects, if it speaks of it.
    pub fn check(&self, ports: &[PortView], expected: Option<&Vec<String>>) -> Result<(), String> {
        let told: Vec<_> = self.0.iter().flat_map(|(service, check)| views(service, check)).collect();
        same("the health checks that were told and those of the maps", &told, &health_checks(ports))?;
        let told: Vec<_> = told.iter().map(line).collect();
        expected.map_or(Ok(()), |expected| same("health", expected, &told))
    }
}

fn views(service: &ObjectName, check: &HealthCheck) -> impl Iterator<Item = HealthCheckView> {
    Family::BOTH.into_iter().filter_map(|family| {
        let local_endpoints = check.ready(family)? as usize;
        Some(HealthCheckView { service: service.clone(), family, port: check.port, local_endpoints })
    })
}

fn line(check: &HealthCheckView) -> String {
    let HealthCheckView { service, family, port, local_endpoints } = check;
    format!("{service}:{port}/{family}: {}, {local_endpoints} ready", check.status())
}
