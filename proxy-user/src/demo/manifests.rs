//! The demo's own copy of the manifests, which it edits as a user would while the agent follows it.

use super::target::Named;
use crate::model::Conditions;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    fs, iter,
    net::IpAddr,
    path::{Path, PathBuf},
};

const READY: Conditions = Conditions { ready: true, serving: true, terminating: false };
/// Its pod was deleted and has not ended yet (KEP-1669).
const TERMINATING: Conditions = Conditions { ready: false, serving: true, terminating: true };

/// A directory of manifests that nobody else follows.
#[derive(Debug)]
pub struct Manifests {
    directory: PathBuf,
}

impl Manifests {
    /// Copies a file, or the manifests directly inside a directory, to a directory that is made for it.
    pub fn copy(from: &Path, to: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&to).with_context(|| format!("mkdir {}", to.display()))?;
        let files = if from.is_dir() { manifests(from)? } else { vec![from.to_owned()] };
        for file in files {
            let Some(name) = file.file_name() else { continue };
            fs::copy(&file, to.join(name)).with_context(|| format!("copy {}", file.display()))?;
        }
        Ok(Self { directory: to })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Gives a Service these endpoints and no others, each in the slices of its family: ready ones, and
    /// some that terminate and still serve. The file with the slices is exchanged in one step, as a good
    /// editor saves.
    ///
    /// # Errors
    /// If no file has such slices with an endpoint to take the pattern from, or on I/O.
    pub fn set_endpoints(
        &self,
        service: Named,
        ready: &[IpAddr],
        terminating: &[IpAddr],
    ) -> anyhow::Result<()> {
        let ready = ready.iter().map(|ip| (*ip, READY));
        let endpoints: Vec<_> = ready.chain(terminating.iter().map(|ip| (*ip, TERMINATING))).collect();
        for path in manifests(&self.directory)? {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(&text).with_context(|| format!("YAML of {}", path.display()))?;
            let mut edited = documents.clone();
            edited.iter_mut().filter(|document| is_slice_of(document, service)).for_each(|slice| {
                set_endpoints_of(slice, &endpoints);
            });
            if edited != documents {
                // JSON is YAML.
                let text: String = edited.iter().map(|document| format!("---\n{document:#}\n")).collect();
                return exchange(&path, &text);
            }
        }
        anyhow::bail!("no EndpointSlices of {service} in {} to edit", self.directory.display())
    }
}

/// Files that the agent reads from a directory too, by name.
fn manifests(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read =
        || fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = read().with_context(|| format!("read directory {}", directory.display()))?;
    let hidden = |path: &Path| path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    paths.retain(|path| {
        let extension = path.extension().and_then(OsStr::to_str);
        matches!(extension, Some("yaml" | "yml" | "json")) && !hidden(path) && path.is_file()
    });
    paths.sort();
    Ok(paths)
}

fn is_slice_of(document: &Value, service: Named) -> bool {
    let metadata = &document["metadata"];
    document["kind"] == "EndpointSlice"
        && metadata["namespace"].as_str().unwrap_or("default") == service.namespace
        && metadata["labels"]["kubernetes.io/service-name"] == service.name
}

/// The first endpoint is the pattern for all: they differ in their address and conditions only.
fn set_endpoints_of(slice: &mut Value, endpoints: &[(IpAddr, Conditions)]) {
    let ipv6 = slice["addressType"] == "IPv6";
    let Some(pattern) = slice["endpoints"].get(0).cloned() else { return };
    let like_it = |(ip, Conditions { ready, serving, terminating }): &(IpAddr, Conditions)| {
        let mut endpoint = pattern.clone();
        endpoint["addresses"] = json!([ip]);
        endpoint["conditions"] = json!({"ready": ready, "serving": serving, "terminating": terminating});
        endpoint
    };
    slice["endpoints"] = endpoints.iter().filter(|(ip, _)| ip.is_ipv6() == ipv6).map(like_it).collect();
}

fn exchange(path: &Path, text: &str) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default();
    let hidden: std::ffi::OsString = iter::once(OsStr::new(".new-")).chain([name]).collect();
    let fresh = path.with_file_name(hidden);
    fs::write(&fresh, text).with_context(|| format!("write {}", fresh.display()))?;
    fs::rename(&fresh, path).with_context(|| format!("rename to {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{super::target::WEB, *};
    use crate::{model::Event, source::manifests::ManifestSet};

    fn examples() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
    }

    #[test]
    fn endpoints_are_exchanged_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let manifests = Manifests::copy(&examples(), parent.path().join("examples")).unwrap();
        let (mut set, first) = ManifestSet::load([manifests.path()]).unwrap();
        assert!(first.events.len() > 5 && first.problems.is_empty());
        let ips = |texts: [&str; 2]| -> Vec<IpAddr> { texts.map(|ip| ip.parse().unwrap()).to_vec() };
        let ready = ips(["10.244.0.14", "fd00:10:244::14"]);
        let terminating = ips(["10.244.0.11", "fd00:10:244::11"]);
        manifests.set_endpoints(WEB, &ready, &terminating).unwrap();
        let changes = set.reload();
        assert_eq!(changes.problems, []);
        let mut found = Vec::new();
        for event in &changes.events {
            let Event::SliceApplied(slice) = event else { panic!("{event:?}") };
            assert_eq!(slice.service, "web");
            found.extend(slice.endpoints.iter().map(|endpoint| (endpoint.address, endpoint.conditions)));
        }
        let of_family = |index: usize| [(ready[index], READY), (terminating[index], TERMINATING)];
        assert_eq!(found, [of_family(0), of_family(1)].concat());
        assert!(fs::read_dir(manifests.path()).unwrap().count() >= 4, "nothing was lost");
    }

    #[test]
    fn a_service_without_slices_cannot_be_edited() {
        let parent = tempfile::tempdir().unwrap();
        let manifests = Manifests::copy(&examples().join("empty.yaml"), parent.path().join("one")).unwrap();
        let error = manifests.set_endpoints(WEB, &[], &[]).unwrap_err().to_string();
        assert!(error.starts_with("no EndpointSlices of default/web in "), "{error}");
    }
}
