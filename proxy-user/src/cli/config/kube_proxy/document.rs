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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const TEXT: &str =
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n";

    fn found(text: &str) -> Result<String, String> {
        let (root, lines) = find(text, &Lines::of(Path::new("f"))).map_err(|problem| problem.to_string())?;
        let Value::Map(entries) = &root.value else { return Err("no map".to_owned()) };
        let (key, _) = entries.iter().find(|(key, _)| key.text == "mode").ok_or("no mode")?;
        Ok(lines.at(key.line).to_string())
    }

    fn indented(text: &str) -> String {
        text.lines().map(|line| format!("    {line}\n")).collect()
    }

    #[test]
    fn it_is_found_as_a_file_and_in_every_form_of_a_config_map() {
        assert_eq!(found(TEXT), Ok("f:3".to_owned()));
        assert_eq!(found(&format!("---\n# kubeadm\n{TEXT}")), Ok("f:5".to_owned()));
        let other = "  kubeconfig.conf: |\n    kind: Config\n    mode: 1\n";
        for mark in ["|", "|-", "|+", "| # as somebody wrote it"] {
            let map = format!("kind: ConfigMap\ndata:\n{other}  config.conf: {mark}\n{}", indented(TEXT));
            assert_eq!(found(&map), Ok("f:9".to_owned()), "{map}");
        }
        // A key of one's own, and texts in quotes, as kubectl prints those with blanks at ends of lines.
        let quoted = serde_json::Value::from(TEXT).to_string();
        assert_eq!(
            found(&format!("kind: ConfigMap\ndata:\n{other}  mine: {quoted}\n")),
            Ok("f, mine:3".to_owned())
        );
        let json =
            serde_json::json!({"apiVersion": "v1", "data": {"config.conf": TEXT}, "kind": "ConfigMap"});
        assert_eq!(found(&serde_json::to_string_pretty(&json).unwrap()), Ok("f, config.conf:3".to_owned()));
    }

    #[test]
    fn what_is_none_is_named() {
        for (text, says) in [
            ("", "f: no kind: neither"),
            ("a: [", "f:"),
            ("kind: Deployment\n", "f: Deployment is neither a KubeProxyConfiguration nor a ConfigMap"),
            ("kind: ConfigMap\n", "f: this ConfigMap holds no KubeProxyConfiguration"),
            ("kind: ConfigMap\ndata: {a: b}\n", "f: this ConfigMap holds no KubeProxyConfiguration"),
            ("kind: ConfigMap\ndata:\n  config.conf: |\n    a: b\n    c: [\n", "f:"),
            ("kind: ConfigMap\ndata:\n  config.conf: |\n    a: b\n", "f: no kind: neither"),
            ("kind: KubeProxyConfiguration\n", "f: KubeProxyConfiguration of version \"\" is not known"),
            (
                "kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1beta1\n",
                "v1beta1\" is not known",
            ),
        ] {
            let error = found(text).unwrap_err();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }
}
