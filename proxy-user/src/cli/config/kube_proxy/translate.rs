//! What of kube-proxy's configuration is obeyed, in the agent's words.

use super::{
    super::{
        file::Setting,
        place::{Ignored, Lines, Problem, Source},
        tree::Value,
    },
    At, Found, Translated,
};
use std::net::IpAddr;

/// From here on klog is verbose enough to be called debugging: 4 is "debug level verbosity" to Kubernetes.
const DEBUG: u32 = 4;

/// Adds the settings.
pub(super) fn translate(found: &Found, lines: &Lines, to: &mut Translated) {
    Translation { found, lines, to }.all();
}

struct Translation<'a> {
    found: &'a Found,
    lines: &'a Lines,
    to: &'a mut Translated,
}

impl<'a> Translation<'a> {
    fn all(&mut self) {
        let (mode, line) = self.mode();
        if !["iptables", "ipvs", "nftables"].contains(&mode) {
            self.refuse(line, format!("mode is iptables, ipvs or nftables, not {mode:?}"));
        }
        self.texts();
        self.addresses();
        self.node_ports();
        self.masquerade();
        self.verbosity();
    }

    /// The text of a field that is not empty.
    fn text(&self, path: &str) -> Option<(&'a str, u64)> {
        let (_, At { line, node }) = self.found.get(path)?;
        node.text().filter(|text| !text.is_empty()).map(|text| (text, *line))
    }

    fn set(&mut self, word: &str, value: impl Into<String>, line: u64, field: &str) {
        let source = Source::KubeProxy { place: self.lines.at(line), field: field.to_owned() };
        self.to.settings.push(Setting { word: word.to_owned(), values: vec![value.into()], source });
    }

    fn refuse(&mut self, line: u64, message: String) {
        self.to.problems.push(Problem { place: self.lines.at(line), message });
    }

    fn not_read(&mut self, field: &str, text: &str, line: u64) {
        let why = format!("kube-proxy does not read it in mode {} either", self.mode().0);
        let what = format!("{field}: {text}");
        self.to.ignored.push(Ignored { place: self.lines.at(line), what, why, matters: false });
    }

    fn texts(&mut self) {
        if let Some((path, line)) = self.text("clientConnection.kubeconfig") {
            self.set("kubeconfig", path, line, "clientConnection.kubeconfig");
        }
        if let Some((name, line)) = self.text("hostnameOverride") {
            // As kube-proxy: a node's name has no capitals.
            self.set("node", name.trim().to_lowercase(), line, "hostnameOverride");
        }
    }

    /// Where it listens, and `bindAddress`, which decides the family where nothing else does.
    fn addresses(&mut self) {
        let bind = self.text("bindAddress");
        let address = bind.and_then(|(text, _)| text.parse::<IpAddr>().ok());
        match (bind, address) {
            (Some((text, line)), None) => {
                self.refuse(line, format!("bindAddress: {text:?} is no IP address"));
            }
            // No address to listen on: the node's own, before those of its Node.
            (Some((text, line)), Some(address)) if !address.is_unspecified() => {
                self.set("node-ip", text, line, "bindAddress");
            }
            _ => {}
        }
        let v6 = address.is_some_and(|address| address.is_ipv6());
        for (field, word, port, default) in [
            ("healthzBindAddress", "healthz-address", 10_256, "[::]:10256"),
            ("metricsBindAddress", "metrics-address", 10_249, "[::1]:10249"),
        ] {
            // Empty is the default in this file, though it is "nowhere" on kube-proxy's command line.
            if let Some((text, line)) = self.text(field) {
                self.set(word, with_port(text, port), line, field);
            } else if let Some((_, line)) = bind.filter(|_| v6) {
                self.set(word, default, line, "bindAddress");
            }
        }
    }

    fn mode(&self) -> (&'a str, u64) {
        // `iptables` is what an empty mode means on Linux.
        self.text("mode").unwrap_or(("iptables", 1))
    }

    /// Without addresses, kube-proxy's modes differ: nftables serves NodePorts on the primary ones, the others on all.
    fn node_ports(&mut self) {
        const FIELD: &str = "nodePortAddresses";
        let (mode, mode_line) = self.mode();
        let at = self.found.get(FIELD).map(|(_, at)| at);
        let texts: Option<Vec<_>> = match at.map(|at| (&at.node.value, at.line)) {
            Some((Value::List(items), line)) if !items.is_empty() => {
                let texts: Option<Vec<_>> = items.iter().map(|item| item.text()).collect();
                if texts.is_none() {
                    self.refuse(line, format!("{FIELD} is a list of texts, and one is none"));
                    return;
                }
                texts
            }
            Some((Value::Scalar(text), line)) if !text.is_empty() => {
                return self.refuse(line, format!("{FIELD} is a list, not {text:?}"));
            }
            _ => None,
        };
        let line = at.map_or(mode_line, |at| at.line);
        match texts {
            Some(texts) => self.set("nodeport-addresses", texts.join(","), line, FIELD),
            None if mode != "nftables" => {
                self.set("nodeport-addresses", "all", line, &format!("{FIELD}, empty in mode {mode}"));
            }
            None => {}
        }
        const LOCALHOST: &str = "iptables.localhostNodePorts";
        match self.text(LOCALHOST) {
            Some((text, line)) if mode == "iptables" => {
                self.set("localhost-nodeports", text.to_lowercase(), line, LOCALHOST);
            }
            Some((text, line)) if text != "true" => self.not_read(LOCALHOST, text, line),
            _ => {}
        }
    }

    /// `ipvs` obeys the section of `iptables`, as it has none of its own.
    fn masquerade(&mut self) {
        let (mode, _) = self.mode();
        for (section, field) in
            [("iptables", "iptables.masqueradeAll"), ("nftables", "nftables.masqueradeAll")]
        {
            let Some((text, line)) = self.text(field) else { continue };
            let is_read = (mode == "nftables") == (section == "nftables");
            match text.to_lowercase().as_str() {
                "false" => {}
                "true" if is_read => self.set("masquerade", "always", line, field),
                "true" => self.not_read(field, text, line),
                _ => self.refuse(line, format!("{field} is true or false, not {text:?}")),
            }
        }
    }

    fn verbosity(&mut self) {
        const FIELD: &str = "logging.verbosity";
        let Some((text, line)) = self.text(FIELD) else { return };
        match text.parse::<u32>() {
            Ok(DEBUG..) => self.set("log", "debug", line, FIELD),
            Ok(_) => {}
            Err(_) => self.refuse(line, format!("{FIELD} is a whole number, not {text:?}")),
        }
    }
}

/// An address with a port, as kube-proxy completes it. What is no address is for the option to refuse.
fn with_port(text: &str, port: u16) -> String {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => format!("{address}:{port}"),
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Err(_) => text.to_owned(),
    }
}

/// What a field that is obeyed is here, for the documentation.
#[cfg(test)]
pub(super) fn words(path: &str) -> &'static str {
    match path {
        "apiVersion" | "kind" => "Says what the file is",
        "clientConnection.kubeconfig" => "`kubeconfig`",
        "logging.verbosity" => "`log`: debug from 4 on",
        "hostnameOverride" => "`node`, in lower case",
        "bindAddress" => {
            "`node-ip`, if it is an address; its family decides where the agent listens by default"
        }
        "healthzBindAddress" => "`healthz-address`",
        "metricsBindAddress" => "`metrics-address`",
        "iptables.masqueradeAll" => "`masquerade: always`, in the modes iptables and ipvs",
        "nftables.masqueradeAll" => "`masquerade: always`, in the mode nftables",
        "iptables.localhostNodePorts" => "`localhost-nodeports`, in the mode iptables",
        "nodePortAddresses" => "`nodeport-addresses`; empty: `all`, but the default in the mode nftables",
        other => unreachable!("{other} is obeyed: say here as what"),
    }
}
