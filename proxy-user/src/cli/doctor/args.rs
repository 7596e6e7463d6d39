//! The command line of `shunt doctor`.

use crate::cli::{args::Output, run_args::RunArgs};
use clap::Args as ClapArgs;

/// What [`crate::cli::args::Command::Doctor`] shows.
pub const DOCTOR_EXAMPLES: &str = "\
Example:
  shunt doctor
  shunt doctor --kubeconfig /etc/kubernetes/admin.conf      compares with the API server too
  shunt doctor --manifests /etc/shunt/ --node n1 --repair   and mends what differs
  shunt doctor -o json

Exit codes: 0 the node balances, 1 degraded or not all could be looked at, 2 it does not balance, 64 wrong usage,
70 the doctor itself failed";

/// `shunt doctor`: the options of `shunt run`, whose node it is about.
#[derive(Debug, ClapArgs)]
pub struct DoctorArgs {
    /// Mends maps that disagree with the API server, the manifests or themselves: a running agent is asked to
    /// (SIGUSR2), and without one the difference is written.
    #[arg(long)]
    pub repair: bool,
    /// Leaves out the self-test, which dials a Service through the programs in a network namespace of its own.
    #[arg(long)]
    pub no_self_test: bool,
    /// Format.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub run: RunArgs,
}
