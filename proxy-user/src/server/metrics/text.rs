//! The two text formats: OpenMetrics, and the one that Prometheus had before, which promtool reads.

use super::exposition::Exposition;
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};

/// How metrics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' text format, version 0.0.4.
    Classic,
}

impl Format {
    /// What a client asks for by its Accept header: OpenMetrics if it names that and likes it no less than plain
    /// text, as Prometheus does.
    pub fn accepted(accept: &str) -> Self {
        let quality = |kind: &str| {
            let mut best = 0.0_f64;
            for mut range in accept.split(',').map(|range| range.split(';')) {
                if range.next().is_some_and(|of| of.trim().eq_ignore_ascii_case(kind)) {
                    let given = range.find_map(|parameter| parameter.trim().strip_prefix("q=")?.parse().ok());
                    best = best.max(given.unwrap_or(1.0));
                }
            }
            best
        };
        let wanted = quality("application/openmetrics-text");
        if wanted > 0.0 && wanted >= quality("text/plain") { Self::OpenMetrics } else { Self::Classic }
    }

    /// The media type of a page.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Writes a scrape.
    pub(super) fn write(self, exposition: Exposition) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(exposition));
        let mut text = String::with_capacity(64 * 1_024);
        // Writing to a string cannot fail, and the families have labels of plain text.
        let written = encode_registry(&mut text, &registry).and_then(|()| encode_eof(&mut text));
        if let Err(error) = written {
            tracing::error!("metrics were cut short: {error}; this is a bug in Shunt");
        }
        match self {
            Self::OpenMetrics => text,
            Self::Classic => classic(&text),
        }
    }
}

/// OpenMetrics names a family without its samples' suffix, has types of its own, and whole numbers as bounds of
/// buckets end in `.0`.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // HELP comes before the TYPE that its name depends on.
    let mut help = None;
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("# HELP ") {
            help = of.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|of| of.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, help)) = help.take() {
                out.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            match line.split_once("le=\"").and_then(|(head, rest)| Some((head, rest.split_once('"')?))) {
                Some((head, (bound, rest))) => {
                    let bound = bound.strip_suffix(".0").unwrap_or(bound);
                    out.push_str(&format!("{head}le=\"{bound}\"{rest}\n"));
                }
                None => {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        for (accept, wanted) in [
            ("", Format::Classic),
            ("*/*", Format::Classic),
            ("text/plain", Format::Classic),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Classic),
            ("text/plain;q=1,application/openmetrics-text;q=0.5", Format::Classic),
            // Prometheus 2.42 and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,*/*;q=0.2",
                Format::OpenMetrics,
            ),
        ] {
            assert_eq!(Format::accepted(accept), wanted, "{accept}");
        }
    }

    #[test]
    fn the_classic_format_names_families_as_their_samples() {
        let open = "# HELP a What a is.\n# TYPE a counter\na_total{x=\"le=1.0\"} 3\n# HELP b_s B.\n# TYPE b_s histogram\n\
                    b_s_sum 1.0\nb_s_count 1\nb_s_bucket{le=\"1.0\",f=\"v\"} 1\nb_s_bucket{le=\"+Inf\"} 1\n\
                    # HELP c C.\n# TYPE c info\nc_info{v=\"1\"} 1\n# HELP d D.\n# TYPE d unknown\nd 2\n# EOF\n";
        let wanted = "# HELP a_total What a is.\n# TYPE a_total counter\na_total{x=\"le=1.0\"} 3\n# HELP b_s B.\n\
                      # TYPE b_s histogram\nb_s_sum 1.0\nb_s_count 1\nb_s_bucket{le=\"1\",f=\"v\"} 1\n\
                      b_s_bucket{le=\"+Inf\"} 1\n# HELP c_info C.\n# TYPE c_info gauge\nc_info{v=\"1\"} 1\n# HELP d D.\n\
                      # TYPE d untyped\nd 2\n";
        assert_eq!(classic(open), wanted);
    }
}
