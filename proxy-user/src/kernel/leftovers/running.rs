//! Whether kube-proxy itself runs, by its processes: a running one makes all again that is removed.

use std::fs;
use std::path::{Path, PathBuf};

/// What the kernel has of its name, in /proc/PID/comm.
const NAME: &str = "kube-proxy";

/// Ids of the processes called kube-proxy in the network namespace of the calling thread, as far as this PID namespace
/// has them and they may be asked.
#[must_use]
pub fn kube_proxy_processes() -> Vec<u32> {
    let namespace = |of: PathBuf| fs::read_link(of.join("ns/net")).ok();
    let Some(own) = namespace(PathBuf::from("/proc/thread-self")) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| {
        let process = Path::new("/proc").join(id.to_string());
        // A process that ends meanwhile has neither.
        fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim_end() == NAME)
            && namespace(process).is_some_and(|namespace| namespace == own)
    })
    .collect()
}
