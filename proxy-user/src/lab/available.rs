//! Whether a lab can be made on this machine.

use super::{Bpffs, Cgroup, Namespace};
use std::env;

/// Says why no lab can be made here: SHUNT_SKIP_LAB is set, or making a namespace, a threaded cgroup with
/// a thread in it, or a bpffs fails (no root, no cgroup2, a container that may not). It tries each, which
/// takes some milliseconds.
///
/// # Errors
/// The reason, for people.
pub fn available() -> Result<(), String> {
    if env::var_os("SHUNT_SKIP_LAB").is_some() {
        return Err("SHUNT_SKIP_LAB is set".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("the lab needs root, for network namespaces and cgroups".to_owned());
    }
    let namespace = Namespace::new("probe").map_err(|error| error.to_string())?;
    let cgroup = Cgroup::new().map_err(|error| error.to_string())?;
    cgroup.run_in(&namespace, || ()).map_err(|error| error.to_string())?;
    Bpffs::new().map_err(|error| error.to_string())?;
    Ok(())
}
