//! The configuration files of `deploy/` are such as `shunt run` takes.
#![cfg(feature = "agent")]
#![allow(clippy::unwrap_used, reason = "clippy.toml allows it in #[test] functions, not in their helpers")]

mod command;

use command::shunt;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Every `config.yaml` below a directory.
fn configs(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => configs(&path),
            false if path.ends_with("config.yaml") => vec![path],
            false => Vec::new(),
        })
        .collect()
}

#[test]
fn each_names_the_api_server_and_where_the_daemon_set_mounts_what_the_node_has() {
    let all = configs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy"));
    assert!(all.len() > 6, "{all:?}");
    for path in all {
        let mut command = shunt(&["config", "check", "--config", path.to_str().unwrap()]);
        let said = command::Said::from(command.env("NODE_NAME", "n").output().unwrap());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", path.display());
        let text = fs::read_to_string(&path).unwrap();
        for word in ["api-server: [https://", "cgroup: /host/cgroup\n", "pin-path: /sys/fs/bpf/shunt\n"] {
            assert!(text.contains(word), "{}: {word}", path.display());
        }
    }
}
