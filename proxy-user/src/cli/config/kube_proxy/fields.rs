//! Every field of `kubeproxy.config.k8s.io/v1alpha1`, `KubeProxyConfiguration`, of all versions of Kubernetes (section M of
//! docs/behaviour.md): its default, and what becomes of it here.

/// A field.
pub(super) struct Field {
    /// Its path.
    pub(super) path: &'static str,
    /// Texts that mean its default. What is empty or null always does.
    pub(super) defaults: &'static [&'static str],
    pub(super) fate: Fate,
}

/// What becomes of a value that is not the default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It is translated, by `translate`.
    Used,
    /// Nothing changes for want of it, and why.
    Needless(&'static str),
    /// Somebody may miss it, and what to do.
    Missed(&'static str),
}
use Fate::{Missed, Needless, Used};

/// The field of a path.
pub(super) fn find(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == path)
}

/// Whether fields lie below a path.
pub(super) fn is_section(path: &str) -> bool {
    FIELDS.iter().any(|field| field.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// nf_conntrack is left as it is: others on the node may need it, flows of Services do not.
macro_rules! sysctl {
    ($name:literal) => {
        Missed(concat!(
            "sysctls are left as they are; set net.netfilter.",
            $name,
            " in /etc/sysctl.d if others need it"
        ))
    };
}

const fn field(path: &'static str, defaults: &'static [&'static str], fate: Fate) -> Field {
    Field { path, defaults, fate }
}

const WATCH: &str =
    "the watch needs three requests to begin and none while nothing changes; there is nothing to limit";
const ENCODING: &str = "what is read of an object is chosen here, whatever its encoding";
const MODE: &str = "there is one mode, eBPF";
const MARK: &str = "no mark is put on packets";
const SYNC: &str = "a change is written as it comes, and what the kernel holds is not written again";
const IPVS: &str = "no IPVS service is made";
const SCHEDULER: &str = "each endpoint is as likely as another";
const PODS: &str = "pods are known by their network namespaces, their devices and the podCIDRs of the Node";
const WINDOWS: &str = "it is for Windows";
const PROFILING: &str = "there is no pprof; `shunt trace` and `shunt top` show what happens";
const LOGGING: &str = "lines are written as they come, as text, to standard error";
const GONE: &str = "kube-proxy itself does not read it any more";

pub(super) const FIELDS: &[Field] = &[
    field("apiVersion", &["kubeproxy.config.k8s.io/v1alpha1"], Used),
    field("kind", &["KubeProxyConfiguration"], Used),
    field("featureGates", &[], Needless("they are kube-proxy's own")),
    field("clientConnection.kubeconfig", &[], Used),
    field("clientConnection.acceptContentTypes", &[], Needless(ENCODING)),
    field("clientConnection.contentType", &["application/vnd.kubernetes.protobuf"], Needless(ENCODING)),
    field("clientConnection.qps", &["0", "5"], Needless(WATCH)),
    field("clientConnection.burst", &["0", "10"], Needless(WATCH)),
    field("logging.verbosity", &["0"], Used),
    field("logging.format", &["text"], Missed(LOGGING)),
    field("logging.flushFrequency", &["0", "5s", "5000000000"], Needless(LOGGING)),
    field("logging.vmodule", &[], Missed("--log takes such filters in its own words: shunt=debug,kube=warn")),
    field("logging.options.json.infoBufferSize", &["0"], Needless(LOGGING)),
    field("logging.options.json.splitStream", &["false"], Needless(LOGGING)),
    field("logging.options.text.infoBufferSize", &["0"], Needless(LOGGING)),
    field("logging.options.text.splitStream", &["false"], Needless(LOGGING)),
    field("hostnameOverride", &[], Used),
    field("bindAddress", &["0.0.0.0", "::"], Used),
    field("healthzBindAddress", &[], Used),
    field("metricsBindAddress", &[], Used),
    field(
        "bindAddressHardFail",
        &["false"],
        Missed(
            "an address that cannot be listened on is tried again and reported, and does not end the agent",
        ),
    ),
    field("enableProfiling", &["false"], Missed(PROFILING)),
    field("showHiddenMetricsForVersion", &[], Needless("no metric is hidden")),
    field("mode", &["iptables"], Needless(MODE)),
    field("iptables.masqueradeBit", &["14"], Needless(MARK)),
    field("iptables.masqueradeAll", &["false"], Used),
    field("iptables.localhostNodePorts", &["true"], Used),
    field("iptables.syncPeriod", &["0s", "30s"], Needless(SYNC)),
    field("iptables.minSyncPeriod", &["0s", "1s"], Needless(SYNC)),
    field("nftables.masqueradeBit", &["14"], Needless(MARK)),
    field("nftables.masqueradeAll", &["false"], Used),
    field("nftables.syncPeriod", &["0s", "30s"], Needless(SYNC)),
    field("nftables.minSyncPeriod", &["0s", "1s"], Needless(SYNC)),
    field("ipvs.syncPeriod", &["0s", "30s"], Needless(SYNC)),
    field("ipvs.minSyncPeriod", &["0s", "1s"], Needless(SYNC)),
    field("ipvs.scheduler", &["rr"], Missed(SCHEDULER)),
    field("ipvs.excludeCIDRs", &[], Needless("no IPVS service is made, and nobody else's is removed")),
    field(
        "ipvs.strictARP",
        &["false"],
        Needless("no address is put on a device, so the node answers ARP for none but its own"),
    ),
    field("ipvs.tcpTimeout", &["0s"], Needless(IPVS)),
    field("ipvs.tcpFinTimeout", &["0s"], Needless(IPVS)),
    field("ipvs.udpTimeout", &["0s"], Needless(IPVS)),
    field("clusterCIDR", &[], Needless(PODS)),
    field("detectLocalMode", &["ClusterCIDR"], Needless(PODS)),
    field(
        "detectLocal.bridgeInterface",
        &[],
        Needless("see --pod-interfaces, where pods' sockets are not this kernel's"),
    ),
    field(
        "detectLocal.interfaceNamePrefix",
        &[],
        Needless("see --pod-interfaces, where pods' sockets are not this kernel's"),
    ),
    field("nodePortAddresses", &[], Used),
    field(
        "oomScoreAdj",
        &["-999"],
        Needless("kubelet sets it by the Pod's priority and QoS class, systemd by OOMScoreAdjust="),
    ),
    // 0 asks for what is done here: leave it as it is.
    field("conntrack.maxPerCore", &["0", "32768"], sysctl!("nf_conntrack_max")),
    field("conntrack.min", &["0", "131072"], sysctl!("nf_conntrack_max")),
    field("conntrack.tcpEstablishedTimeout", &["0s", "24h"], sysctl!("nf_conntrack_tcp_timeout_established")),
    field("conntrack.tcpCloseWaitTimeout", &["0s", "1h"], sysctl!("nf_conntrack_tcp_timeout_close_wait")),
    field("conntrack.tcpBeLiberal", &["false"], sysctl!("nf_conntrack_tcp_be_liberal")),
    field("conntrack.udpTimeout", &["0s"], sysctl!("nf_conntrack_udp_timeout")),
    field("conntrack.udpStreamTimeout", &["0s"], sysctl!("nf_conntrack_udp_timeout_stream")),
    field("conntrack.max", &["0"], Needless(GONE)),
    field("configSyncPeriod", &["0s", "15m"], Needless("nothing is listed again that a watch has told")),
    field("portRange", &[], Needless(GONE)),
    field("resourceContainer", &["/kube-proxy"], Needless(GONE)),
    field("udpIdleTimeout", &["0s", "250ms"], Needless(GONE)),
    field("winkernel.networkName", &[], Needless(WINDOWS)),
    field("winkernel.sourceVip", &[], Needless(WINDOWS)),
    field("winkernel.enableDSR", &["false"], Needless(WINDOWS)),
    field("winkernel.rootHnsEndpointName", &[], Needless(WINDOWS)),
    field("winkernel.forwardHealthCheckVip", &["false"], Needless(WINDOWS)),
    field("windowsRunAsService", &["false"], Needless(WINDOWS)),
];
