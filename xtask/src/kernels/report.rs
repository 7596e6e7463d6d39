//! What a virtual machine wrote to its console.

/// How the first process ends what it writes if all went well.
pub const DONE: &str = "kernel-init: ok";

/// What kernel-init and its child wrote.
pub struct Report {
    /// True if it came to its end.
    pub ok: bool,
    /// Its lines.
    pub details: String,
    /// All lines, the kernel's too.
    pub console: String,
    kernel: String,
    programs: usize,
    set_retval: bool,
}

impl Report {
    /// Reads a console.
    pub fn new(console: String) -> Self {
        let mut report = Self {
            ok: false,
            kernel: "unknown".into(),
            programs: 0,
            set_retval: false,
            details: String::new(),
            console: String::new(),
        };
        for line in console.lines().map(str::trim) {
            if let Some(kernel) = line.strip_prefix("kernel ") {
                report.kernel = kernel.into();
            } else if line.starts_with("program ") {
                report.programs += 1;
            } else if line == DONE {
                report.ok = true;
            } else if let Some(answer) = line.strip_prefix("bpf_set_retval ") {
                report.set_retval = answer == "yes";
            } else if !line.starts_with("sctp ") && !line.starts_with("bridging ") {
                continue;
            }
            report.details.push_str("  ");
            report.details.push_str(line);
            report.details.push('\n');
        }
        Self { console, ..report }
    }

    /// One line about the programs.
    pub fn programs(&self, suite: &str) -> String {
        let Self { ok, kernel, programs, set_retval, .. } = self;
        let verdict = if *ok { "loaded" } else { "FAILED" };
        let refusal = if *set_retval { "ECONNREFUSED" } else { "EPERM" };
        format!("{suite} {kernel}: {programs} programs {verdict}, refusals are {refusal}")
    }

    /// One line about the associations.
    pub fn associations(&self, suite: &str) -> String {
        let verdict = if self.ok { "associations ok" } else { "associations FAILED" };
        format!("{suite} {}: {verdict}", self.kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_the_last_line_is_a_failure() {
        let console = "booting\r\nkernel 5.10.0-32-cloud-amd64\r\nprogram connect4: 250 instructions\r\n\
                       bpf_set_retval no: unknown func bpf_set_retval#187\r\n";
        let report = Report::new(console.into());
        assert!(!report.ok);
        let report = Report::new(format!("{console}kernel-init: ok\r\n"));
        assert_eq!(
            report.programs("bullseye"),
            "bullseye 5.10.0-32-cloud-amd64: 1 programs loaded, refusals are EPERM"
        );
    }
}
