//! What is pinned: the versions, the links, and what the programs have written.

use crate::stage::Stage;
use shunt::kernel::sys::{Access, LinkFd, MapFd};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The maps that programs write, and that only they could fill again.
const MEMORIES: [&str; 4] = ["UDP_FLOWS", "REVERSE", "AFFINITY", "FLOWS"];

/// Keys and values.
pub type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The version directories.
pub fn versions(stage: &Stage) -> BTreeSet<String> {
    names(Path::new(&stage.site.pins()))
}

/// That of this source.
pub fn own_version() -> String {
    format!("v{}", proxy_common::abi::ABI_VERSION)
}

/// The ids of a version's links, by the names of their pins, and those of the programs that they run.
pub fn links(stage: &Stage, version: &str) -> BTreeMap<String, (u32, u32)> {
    let directory = Path::new(&stage.site.pins()).join(version).join("links");
    let id = |name: String| {
        let link = LinkFd::open(&directory.join(&name)).unwrap();
        let cgroup = link.info().unwrap().map(|link| (link.link_id, link.program_id));
        let ids = cgroup.or_else(|| link.tcx_info().unwrap().map(|link| (link.link_id, link.program_id)));
        (name, ids.unwrap())
    };
    names(&directory).into_iter().map(id).collect()
}

/// What the programs remember, by map.
pub fn memories(stage: &Stage) -> BTreeMap<&'static str, Entries> {
    MEMORIES.iter().map(|name| (*name, entries(&maps(stage).join(name)))).collect()
}

/// The newest directory of maps.
pub fn maps(stage: &Stage) -> PathBuf {
    let version = only_version(stage);
    let number =
        |name: &String| name.strip_prefix("maps_").map_or(Some(1), |number| number.parse::<u32>().ok());
    let mut instances: Vec<_> = names(&version)
        .into_iter()
        .filter(|name| name.starts_with("maps") && number(name).is_some())
        .collect();
    instances.sort_by_key(number);
    assert_eq!(instances.len(), 1, "former maps are removed: {instances:?}");
    version.join(&instances[0])
}

fn only_version(stage: &Stage) -> PathBuf {
    let versions = versions(stage);
    assert_eq!(versions.len(), 1, "{versions:?}");
    Path::new(&stage.site.pins()).join(versions.first().unwrap())
}

fn entries(pin: &Path) -> Entries {
    let map = MapFd::open(pin, Access::Read).unwrap();
    let (mut entries, mut next) = (Entries::new(), map.next_key(None).unwrap());
    while let Some(key) = next {
        assert!(entries.len() <= map.shape().max_entries as usize);
        // Of a hash map, look-up by user space does not make an entry younger.
        entries.insert(key.clone(), map.lookup(&key).unwrap());
        next = map.next_key(Some(&key)).unwrap();
    }
    entries
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
