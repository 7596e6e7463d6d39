//! The live self-test: a Service of each protocol and family is dialled through the programs, and answered here.
//!
//! It happens in a network namespace of its own, which has nothing but `lo`, so no packet can leave. There `lo` has the
//! addresses of the Service's endpoints, and the doctor listens at their ports. A thread of the served cgroup dials the
//! ClusterIP, as a pod does: the attached programs decide by the maps that are pinned, and the connection ends at the
//! doctor's own listener if, and only if, they sent it to an endpoint. Without them the ClusterIP has no route there.
//! Nothing is written but what programs write for any client: counters, and memories of a socket that is closed.

mod dial;
mod lasting;
mod place;
mod target;

use super::{
    finding::{Check, State},
    subject::Subject,
};
use crate::{
    kernel::PinnedMaps,
    lab::Namespace,
    view::{PortView, decode},
};
use anyhow::anyhow;
use dial::Dialled;
use lasting::{Tried, try_lasting};
use serde_json::json;
use target::Target;

/// Dials what there is to dial.
pub fn self_test(subject: &Subject, maps: &PinnedMaps) -> Check {
    let mut check = Check::new("self-test");
    let read = || -> anyhow::Result<Vec<PortView>> { Ok(decode(maps)?) };
    match try_lasting(read, |targets| dial_all(subject, targets)) {
        Ok(tried) if tried.is_empty() => {
            check.see("no Service has a ClusterIP with endpoints: nothing to dial");
            check.fact("dials", json!([]));
        }
        Ok(tried) => {
            let documents = tried.iter().map(|Tried { target, dialled, .. }| {
                let error = dialled.as_ref().err().map(ToString::to_string);
                let endpoint = dialled.as_ref().ok().map(|dialled| dialled.endpoint.to_string());
                json!({
                    "service": target.name,
                    "protocol": target.protocol.to_string(),
                    "frontend": target.frontend.to_string(),
                    "endpoint": endpoint,
                    "error": error,
                })
            });
            check.fact("dials", documents.collect::<Vec<_>>());
            judge(&mut check, subject, tried);
        }
        Err(error) => {
            check.see(format!("not made: {error:#}"));
            check.unseen("self-test", "whether a Service can be reached", &format!("{error:#}"));
        }
    }
    check
}

/// What failed is one finding, as it mostly has one cause.
fn judge(
    check: &mut Check,
    subject: &Subject,
    dials: impl IntoIterator<Item = Tried<Result<Dialled, dial::Failure>>>,
) {
    let (mut failed, mut explain) = (Vec::new(), None);
    for Tried { target: Target { name, protocol, frontend, .. }, dialled, changed } in dials {
        match dialled {
            Ok(Dialled { endpoint, took }) => check.see(format!(
                "{name}: {protocol} {frontend} -> {endpoint}, answered in {} µs",
                took.as_micros()
            )),
            Err(failure) if changed => {
                check.see(format!(
                    "{name}: {protocol} {frontend}: {failure}; its endpoints changed meanwhile"
                ));
                check.unseen(
                    "self-test",
                    "whether a Service can be reached",
                    &"its endpoints change too fast",
                );
            }
            Err(failure) => {
                check.see(format!("{name}: {protocol} {frontend}: {failure}"));
                failed.push(format!("{name}, {protocol} {frontend}: {failure}"));
                let lower = protocol.to_string().to_lowercase();
                explain.get_or_insert_with(|| format!("explain {frontend}/{lower} --from pod"));
            }
        }
    }
    if let Some(explain) = explain {
        let explain = format!("shunt {explain}{}", subject.pin_path_option());
        check.find(
            (State::Critical, "self-test-failed"),
            format!("{} connections did not reach an endpoint: {}", failed.len(), failed.join("; ")),
            "what the doctor dials as a pod would, pods and the node dial too",
            format!("look at the findings about sockets and tables, then: {explain}"),
        );
    }
}

/// Dials each in one namespace.
fn dial_all(subject: &Subject, targets: &[Target]) -> anyhow::Result<Vec<Result<Dialled, dial::Failure>>> {
    let namespace = Namespace::bare("the self-test's")?;
    for (address, bits) in target::addresses(targets) {
        namespace.add_address("lo", address, bits)?;
    }
    namespace.run(|| {
        // Before it meets any program.
        dial::warm_up(targets)
            .map_err(|failure| anyhow!("talking over lo in the self-test's network namespace: {failure}"))?;
        place::join(&subject.cgroup)?;
        Ok(targets.iter().map(dial::dial).collect())
    })?
}
