//! Saves other endpoints of a Service, as its controller would, and waits until they are in force.

use super::{stage::Stage, target::Named, wait_until};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// The longest that a saved file takes to be in force.
const LIMIT: Duration = Duration::from_secs(10);

/// Saves the manifests with these pods behind a Service, some of them terminating but still serving; returns
/// how long it took until the sets of all its service ports were those that may be used: the ready ones, or
/// without any the terminating ones.
pub fn save(
    stage: &Stage,
    service: Named,
    ready: &[String],
    terminating: &[String],
) -> anyhow::Result<Duration> {
    let addresses =
        |pods: &[String]| -> Vec<IpAddr> { pods.iter().flat_map(|pod| stage.addresses_of(pod)).collect() };
    let usable = if ready.is_empty() { terminating } else { ready };
    let start = Instant::now();
    stage.manifests.set_endpoints(service, &addresses(ready), &addresses(terminating))?;
    let in_force = wait_until(LIMIT, &stage.interrupt, || {
        Ok(stage.targets(service)?.iter().all(|target| target.pods == usable))
    })?;
    let took = start.elapsed();
    anyhow::ensure!(
        in_force,
        "a saved file is not in force after {LIMIT:?}; the agent's log ends:\n{}",
        stage.agent.log_end()
    );
    Ok(took)
}
