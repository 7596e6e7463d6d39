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
    /// Its release.
    pub kernel: String,
    /// Each program, by name; those that bridge after the others.
    pub programs: Vec<Program>,
    /// Whether refusals are ECONNREFUSED.
    pub set_retval: bool,
    /// What came of the tests.
    pub steps: Vec<StepResult>,
}

/// A program that the verifier has accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Whether it was loaded as one that hands over to a former one.
    pub bridges: bool,
    /// Instructions that the kernel made of it.
    pub instructions: u32,
    /// How many of them the verifier has walked, each way counted, where the kernel tells (Linux 5.16).
    pub verified: Option<u32>,
}

/// What came of one run of tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepResult {
    /// Which one.
    pub name: String,
    /// Tests that passed.
    pub passed: u32,
    /// Those that did not; at least one where nothing could be counted.
    pub failed: u32,
    /// How long it took.
    pub seconds: u32,
}

impl Report {
    /// Reads a console.
    pub fn new(console: String) -> Self {
        let mut report = Self {
            ok: false,
            kernel: "unknown".into(),
            programs: Vec::new(),
            set_retval: false,
            steps: Vec::new(),
            details: String::new(),
            console: String::new(),
        };
        for line in console.lines().map(str::trim) {
            if let Some(kernel) = line.strip_prefix("kernel ") {
                report.kernel = kernel.into();
            } else if let Some(program) = program(line) {
                report.programs.push(program);
            } else if let Some(step) = step(line) {
                report.steps.push(step);
            } else if line == DONE {
                report.ok = true;
            } else if let Some(answer) = line.strip_prefix("bpf_set_retval ") {
                report.set_retval = answer == "yes";
            } else if !line.starts_with("sctp ") {
                continue;
            }
            report.details.push_str("  ");
            report.details.push_str(line);
            report.details.push('\n');
        }
        Self { console, ..report }
    }

    /// One line about the programs and tests.
    pub fn line(&self, suite: &str) -> String {
        let verdict = if self.ok { "ok" } else { "FAILED" };
        let loaded = self.programs.iter().filter(|program| !program.bridges).count();
        let largest =
            self.programs.iter().filter_map(|program| Some((program.verified?, program))).max_by_key(|p| p.0);
        let largest = largest.map_or_else(
            || "the kernel does not tell how much was verified".to_owned(),
            |(verified, program)| format!("at most {verified} instructions verified ({})", program.name),
        );
        let refusal = if self.set_retval { "ECONNREFUSED" } else { "EPERM" };
        let steps: String = self
            .steps
            .iter()
            .map(|step| {
                format!(
                    "; {} {} of {} in {} s",
                    step.name,
                    step.passed,
                    step.passed + step.failed,
                    step.seconds
                )
            })
            .collect();
        format!(
            "{suite} {}: {verdict}: {loaded} programs, {largest}, refusals are {refusal}{steps}",
            self.kernel
        )
    }

    /// One line about the associations.
    pub fn associations(&self, suite: &str) -> String {
        let verdict = if self.ok { "associations ok" } else { "associations FAILED" };
        format!("{suite} {}: {verdict}", self.kernel)
    }
}

/// `program connect4: 250 instructions, 3000 verified`, the last only from some kernels.
fn program(line: &str) -> Option<Program> {
    let (bridges, rest) = match line.strip_prefix("program ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("bridging ")?),
    };
    let (name, sizes) = rest.split_once(": ")?;
    let number = |unit: &str| sizes.split(", ").find_map(|size| size.strip_suffix(unit)?.trim().parse().ok());
    Some(Program {
        name: name.to_owned(),
        bridges,
        instructions: number("instructions")?,
        verified: number("verified"),
    })
}

/// `step cases: ok. 82 passed; 0 failed; … in 33 s`, the counts as a test runner ends.
fn step(line: &str) -> Option<StepResult> {
    let (name, result) = line.strip_prefix("step ")?.split_once(": ")?;
    let number = |unit: &str| {
        result.split([';', '.']).find_map(|part| part.trim().strip_suffix(unit)?.trim().parse::<u32>().ok())
    };
    let seconds = result.rsplit_once(" in ").and_then(|(_, time)| time.strip_suffix(" s")?.parse().ok());
    Some(StepResult {
        name: name.to_owned(),
        passed: number("passed").unwrap_or(0),
        failed: number("failed").unwrap_or(1),
        seconds: seconds?,
    })
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
            report.line("bullseye"),
            "bullseye 5.10.0-32-cloud-amd64: ok: 1 programs, the kernel does not tell how much was verified, refusals \
             are EPERM"
        );
    }

    #[test]
    fn programs_and_steps_are_read() {
        let report = Report::new(
            "program ingress_new: 4100 instructions, 51234 verified\nbridging connect4: 260 instructions, 900 verified\n\
             step cases: ok. 82 passed; 0 failed; 0 ignored; 0 measured; 84 filtered out; finished in 30.50s in 33 s\n\
             step restart: no result in 900 s\n"
                .into(),
        );
        let program = |name: &str, bridges, instructions, verified| Program {
            name: name.to_owned(),
            bridges,
            instructions,
            verified: Some(verified),
        };
        assert_eq!(
            report.programs,
            [program("ingress_new", false, 4_100, 51_234), program("connect4", true, 260, 900)]
        );
        let step = |name: &str, passed, failed, seconds| StepResult {
            name: name.to_owned(),
            passed,
            failed,
            seconds,
        };
        assert_eq!(report.steps, [step("cases", 82, 0, 33), step("restart", 0, 1, 900)]);
    }
}
