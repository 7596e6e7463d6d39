//! Finds the KubeProxyConfiguration in what people have at hand: the file itself, or the ConfigMap that holds it, as
//! kubectl prints it.

use super::super::{
    place::{Lines, Problem},
    tree::{self, Node, Value},
};

const KIND: &str = "KubeProxyConfiguration";
const VERSION: &str = "kubeproxy.config.k8s.io/v1alpha1";

/// Keys of the ConfigMap: kubeadm's, EKS's. Others are looked through for the kind.
const KEYS: [&str; 2] = ["config.conf", "config"];

/// The configuration, and where its lines are in the file.
pub(super) fn find(text: &str, lines: &Lines) -> Result<(Node, Lines), Problem> {
    let root = tree::read(text).map_err(|broken| broken.at(lines))?;
    let is_config_map = kind(&root) == Some("ConfigMap");
    let (root, lines) = if is_config_map { within(text, &root, lines)? } else { (root, lines.clone()) };
    let wrong = |message: String| Problem { place: lines.whole(), message };
    match (kind(&root), root.get("apiVersion").and_then(Node::text)) {
        (Some(KIND), Some(VERSION)) => Ok((root, lines)),
        (Some(KIND), version) => Err(wrong(format!(
            "{KIND} of version {:?} is not known, {VERSION} is",
            version.unwrap_or_default()
        ))),
        (Some(other), _) => Err(wrong(format!("{other} is neither a {KIND} nor a ConfigMap that holds one"))),
        (None, _) => Err(wrong(format!("no kind: neither a {KIND} nor a ConfigMap that holds one"))),
    }
}

fn kind(node: &Node) -> Option<&str> {
    node.get("kind")?.text()
}

fn within(text: &str, root: &Node, lines: &Lines) -> Result<(Node, Lines), Problem> {
    let none = || Problem { place: lines.whole(), message: format!("this ConfigMap holds no {KIND}") };
    let data = root.get("data").ok_or_else(none)?;
    let Value::Map(entries) = &data.value else { return Err(none()) };
    let is_one = |node: &Node| {
        let parsed = node.text().and_then(|text| tree::read(text).ok());
        parsed.is_some_and(|parsed| kind(&parsed) == Some(KIND))
    };
    let known = entries.iter().find(|(key, _)| KEYS.contains(&key.text.as_str()));
    let found = entries.iter().find(|(_, node)| is_one(node)).or(known);
    let (key, node) = found.ok_or_else(none)?;
    let inner = node.text().ok_or_else(none)?;
    let inner_lines =
        if tree::is_literal_block(text, key.line) { lines.below(key.line) } else { lines.within(&key.text) };
    let parsed = tree::read(inner).map_err(|broken| broken.at(&inner_lines))?;
    Ok((parsed, inner_lines))
}
