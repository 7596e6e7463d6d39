//! Options of `shunt cleanup`.

use crate::cli::args::PinArgs;
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// What stands below `shunt cleanup --help`.
pub const CLEANUP_EXAMPLES: &str = "\
Example:
  shunt cleanup --kube-proxy --dry-run
  shunt cleanup --kube-proxy
  shunt cleanup

Exit codes: 0 all of it is gone (or named, with --dry-run), 1 something could not be removed, 2 wrong usage, or refused: \
nothing was touched";

/// `shunt cleanup`.
#[derive(Debug, ClapArgs)]
pub struct CleanupArgs {
    #[command(flatten)]
    pub pins: PinArgs,
    /// Remove what kube-proxy left here, in place of what is Shunt's: iptables and ip6tables chains of either kind, nftables tables,
    /// ipsets, nfacct objects, the device kube-ipvs0.
    ///
    /// What kubelet and CNI plugins have stays, byte for byte. Refused while kube-proxy runs, and where Shunt does not
    /// serve, since nothing else would.
    #[arg(long)]
    pub kube_proxy: bool,
    /// With --kube-proxy: remove what is Shunt's too. No agent may be running.
    #[arg(long, requires = "kube_proxy")]
    pub shunt: bool,
    /// Only say what would go, one line each.
    #[arg(long)]
    pub dry_run: bool,
    /// Remove what kube-proxy left even if kube-proxy runs, Shunt does not serve, or connections end by it.
    #[arg(long, requires = "kube_proxy")]
    pub force: bool,
    /// The cgroup v2 directory that Shunt is to serve [default: the root of the cgroup v2 mount].
    #[arg(long, value_name = "PATH", requires = "kube_proxy")]
    pub cgroup: Option<PathBuf>,
}
