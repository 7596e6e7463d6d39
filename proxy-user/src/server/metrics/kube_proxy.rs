//! kube-proxy's own metrics (pkg/proxy/metrics/metrics.go): names, labels, buckets and meaning are kept, so that its
//! dashboards and alerts go on working.
//!
//! kube-proxy has a proxier for each family, and each of them syncs. One sync is for both here, so both families get
//! the same sample; sums over families count it twice, as they do with kube-proxy.

use super::{
    kernel::KernelSnapshot,
    page::{Labels, Page},
    state::{Count, Moment, State},
};
use crate::model::Family;
use std::fmt;

const PROGRAMMING: &str = "Time from what changed in the cluster to its being programmed here, in seconds.";
const SYNC: &str = "Duration of one sync, in seconds.";
const FULL: &str = "Duration of a sync that looked at everything, in seconds.";
const PARTIAL: &str = "Duration of a sync that looked at what had changed, in seconds.";
const LAST: &str = "When the last sync succeeded, in seconds since 1970.";
const QUEUED: &str = "When a sync was asked for last, in seconds since 1970.";
const NO_LOCAL: &str =
    "Service ports with a Local traffic policy that have endpoints, but none on this node.";

/// Writes all of them.
pub(super) fn write(page: &mut Page<'_>, state: &State, kernel: Option<&KernelSnapshot>) -> fmt::Result {
    let programming = FAMILIES.into_iter().zip(&state.programming);
    page.histograms("kubeproxy_network_programming_duration_seconds", PROGRAMMING, programming)?;
    for (name, help, histogram) in [
        ("kubeproxy_sync_proxy_rules_duration_seconds", SYNC, &state.sync),
        ("kubeproxy_sync_full_proxy_rules_duration_seconds", FULL, &state.full),
        ("kubeproxy_sync_partial_proxy_rules_duration_seconds", PARTIAL, &state.partial),
    ] {
        page.histograms(name, help, FAMILIES.map(|family| (family, histogram)))?;
    }
    let moment = |moment: &Moment| FAMILIES.map(|family| (family, moment.get()));
    page.gauges("kubeproxy_sync_proxy_rules_last_timestamp_seconds", LAST, moment(&state.synced))?;
    page.gauges("kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds", QUEUED, moment(&state.queued))?;
    for (pending, total, what, changes) in [
        (
            "kubeproxy_sync_proxy_rules_endpoint_changes_pending",
            "kubeproxy_sync_proxy_rules_endpoint_changes",
            "EndpointSlice",
            &state.endpoints,
        ),
        (
            "kubeproxy_sync_proxy_rules_service_changes_pending",
            "kubeproxy_sync_proxy_rules_service_changes",
            "Service",
            &state.services,
        ),
    ] {
        let help = format!("Changes of {what} objects that are not programmed yet.");
        page.gauge(pending, &help, changes.pending.get())?;
        page.counter(total, &format!("Changes of {what} objects."), changes.total.get())?;
    }
    if let Some(kernel) = kernel {
        // kube-proxy calls this gauge a total. Its name is kept; as a gauge of that name it would not pass
        // `promtool check metrics`.
        let policies = ["internal", "external"].into_iter().zip(kernel.no_local_endpoints);
        let samples = policies.flat_map(|(policy, counts)| {
            Family::BOTH.into_iter().zip(counts).map(move |(family, count)| {
                ([("traffic_policy", policy), ("ip_family", name(family))], count)
            })
        });
        page.untyped("kubeproxy_sync_proxy_rules_no_local_endpoints_total", NO_LOCAL, samples)?;
    }
    let codes = |counts: &[Count; 2]| {
        let [passed, failed] = counts.each_ref().map(Count::get);
        [([("code", "200")], passed), ([("code", "503")], failed)]
    };
    page.counters("kubeproxy_proxy_healthz", "Answers to /healthz by HTTP status.", codes(&state.healthz))?;
    page.counters("kubeproxy_proxy_livez", "Answers to /livez by HTTP status.", codes(&state.livez))
}

/// As kube-proxy labels them, in the order of [`Family::BOTH`].
const FAMILIES: [Labels<'static, 1>; 2] =
    [[("ip_family", name(Family::V4))], [("ip_family", name(Family::V6))]];

const fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
