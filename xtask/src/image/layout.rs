//! An OCI image layout (image-spec v1.1, image-layout.md): one manifest, one configuration, one layer.

use super::{capability, tar::Tar};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, fs, path::Path};

/// Where the binary lies in the image.
pub const PROGRAM: &str = "/usr/bin/shunt";

/// Nobody whom a node knows, as in other images without a distribution.
const USER: &str = "65532:65532";

/// What an image says of itself.
pub struct About {
    /// As the registries of OCI call it: amd64, arm64.
    pub architecture: &'static str,
    pub version: String,
    /// The commit, if it is known.
    pub revision: Option<String>,
    /// When that was made, RFC 3339: not when the image was, so that it is the same whenever it is.
    pub created: String,
}

/// Bytes of an image, and the digest that names it.
pub struct Written {
    pub bytes: u64,
    pub digest: String,
}

/// Writes the image of a binary into a directory, which is emptied first.
///
/// # Errors
/// The directory cannot be written.
pub fn write(directory: &Path, binary: &[u8], about: &About) -> Result<Written> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("remove({})", directory.display()))?;
    }
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("mkdir({})", blobs.display()))?;
    let mut bytes = 0;
    let mut blob = |media_type: &str, content: &[u8]| -> Result<Value> {
        let hash = hex(&Sha256::digest(content));
        let path = blobs.join(&hash);
        fs::write(&path, content).with_context(|| format!("write({})", path.display()))?;
        bytes += content.len() as u64;
        Ok(json!({"mediaType": media_type, "digest": format!("sha256:{hash}"), "size": content.len()}))
    };
    let labels = labels(about);
    let layer = blob("application/vnd.oci.image.layer.v1.tar", &layer(binary))?;
    let configuration = json!({
        "created": about.created,
        "architecture": about.architecture,
        "os": "linux",
        "config": {
            "User": USER,
            "Env": ["PATH=/usr/bin"],
            "Entrypoint": [PROGRAM],
            "Labels": labels,
        },
        // A layer that is not compressed is its own diff.
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created": about.created, "created_by": "cargo xtask image"}],
    });
    let configuration =
        blob("application/vnd.oci.image.config.v1+json", configuration.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": configuration,
        "layers": [layer],
        "annotations": labels,
    });
    let mut manifest = blob("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())?;
    let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    manifest["platform"] = json!({"architecture": about.architecture, "os": "linux"});
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": about.version});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    for (name, content) in [("index.json", index), ("oci-layout", json!({"imageLayoutVersion": "1.0.0"}))] {
        let path = directory.join(name);
        fs::write(&path, content.to_string()).with_context(|| format!("write({})", path.display()))?;
    }
    Ok(Written { bytes, digest })
}

fn layer(binary: &[u8]) -> Vec<u8> {
    let mut tar = Tar::default();
    tar.directory("usr/");
    tar.directory("usr/bin/");
    tar.program(
        PROGRAM.trim_start_matches('/'),
        binary,
        &[("security.capability", &capability::attribute())],
    );
    tar.finish()
}

/// Annotations of image-spec's annotations.md, which are the labels too.
fn labels(about: &About) -> BTreeMap<&'static str, &str> {
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.title", "shunt"),
        ("org.opencontainers.image.description", "A kube-proxy replacement: the agent"),
        ("org.opencontainers.image.licenses", "Apache-2.0 OR MIT"),
        ("org.opencontainers.image.source", "https://github.com/shunt-proxy/shunt"),
        ("org.opencontainers.image.version", &about.version),
        ("org.opencontainers.image.created", &about.created),
    ]);
    if let Some(revision) = &about.revision {
        labels.insert("org.opencontainers.image.revision", revision);
    }
    labels
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A directory below target/, gone with the value.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            Self(crate::checkout().join("target").join(format!("{name}-{}", std::process::id())))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn about() -> About {
        About {
            architecture: "amd64",
            version: "1.2.3".to_owned(),
            revision: Some("abc".to_owned()),
            created: "2026-11-21T00:00:00Z".to_owned(),
        }
    }

    fn json(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn each_blob_is_what_its_descriptor_says_and_nothing_else_lies_there() {
        let directory = Directory::new("layout");
        let written = write(&directory.0, b"#!/bin/true", &about()).unwrap();
        let blob = |descriptor: &Value| {
            let hash = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let content = fs::read(directory.0.join("blobs/sha256").join(hash)).unwrap();
            assert_eq!(hash, hex(&Sha256::digest(&content)));
            assert_eq!(descriptor["size"], content.len());
            content
        };
        let index = json(&directory.0.join("index.json"));
        assert_eq!(index["manifests"][0]["digest"], written.digest);
        let manifest: Value = serde_json::from_slice(&blob(&index["manifests"][0])).unwrap();
        let configuration: Value = serde_json::from_slice(&blob(&manifest["config"])).unwrap();
        let layer = blob(&manifest["layers"][0]);
        assert_eq!(configuration["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
        assert_eq!(configuration["config"]["User"], USER);
        assert_eq!(configuration["config"]["Labels"]["org.opencontainers.image.revision"], "abc");
        assert!(layer.windows(11).any(|bytes| bytes == b"#!/bin/true"));
        assert_eq!(fs::read_dir(directory.0.join("blobs/sha256")).unwrap().count(), 3);
        assert_eq!(json(&directory.0.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
    }

    #[test]
    fn the_same_binary_is_the_same_image_and_another_one_is_not() {
        let directory = Directory::new("layout-again");
        let digest = |binary: &[u8]| write(&directory.0, binary, &about()).unwrap().digest;
        let first = digest(b"a");
        assert_eq!(first, digest(b"a"));
        assert_ne!(first, digest(b"b"));
    }
}
