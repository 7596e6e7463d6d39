//! What the demo prints, and which promises were not kept.

use super::{ask::Answers, text};
use std::{
    env,
    fmt::Display,
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

/// Cells of a bar, and of the column it stands in with its number.
const BAR: usize = 5;
const COLUMN: usize = 13;
/// Cells before the columns of a table.
const MARGIN: usize = 38;

/// ANSI styles (ECMA-48, SGR).
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// The report, written line by line as the demo goes on.
pub struct Report {
    out: Box<dyn Write>,
    colour: bool,
    acts: usize,
    faults: Vec<String>,
}

impl Report {
    /// On standard output; in colour on a terminal, unless NO_COLOR says otherwise (no-color.org).
    pub fn stdout() -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let out = io::stdout();
        let colour = out.is_terminal() && !plain;
        Self::new(Box::new(out), colour)
    }

    fn new(out: Box<dyn Write>, colour: bool) -> Self {
        Self { out, colour, acts: 0, faults: Vec::new() }
    }

    /// The first line; `swept` things of killed demos were removed.
    pub fn title(&mut self, swept: usize) -> io::Result<()> {
        let kernel = rustix::system::uname();
        let name = self.paint(BOLD, concat!("Shunt ", env!("CARGO_PKG_VERSION")));
        writeln!(self.out, "{name} on Linux {}", kernel.release().to_string_lossy())?;
        if swept > 0 {
            self.note(format_args!("{swept} cgroups and mounts of labs that were killed are removed."), "")?;
        }
        Ok(())
    }

    /// A line of prose, and how long that took.
    pub fn note(&mut self, text: impl Display, took: &str) -> io::Result<()> {
        let took = self.paint(DIM, took);
        writeln!(self.out, "{}", format!("{:78}{took}", text.to_string()).trim_end())
    }

    /// The title of the next act.
    pub fn act(&mut self, title: &str, note: impl Display) -> io::Result<()> {
        self.acts += 1;
        let title = self.paint(BOLD, format_args!("{}  {title}", self.acts));
        let note = self.paint(DIM, note);
        writeln!(self.out, "\n{title}  {note}")
    }

    /// The titles of columns that [`Self::spread`] fills.
    pub fn columns(&mut self, names: &[String]) -> io::Result<()> {
        let names: String = names.iter().map(|name| format!("{name:COLUMN$}")).collect();
        let line = self.paint(DIM, format!("{:MARGIN$}{names}", "").trim_end());
        writeln!(self.out, "{line}")
    }

    /// Who of `names` gave how many of the answers.
    pub fn spread(&mut self, what: &str, names: &[String], answers: &Answers) -> io::Result<()> {
        let most = names.iter().map(|name| answers.of(name)).max().unwrap_or(0);
        let mut line = format!("   {what:width$}", width = MARGIN - 3);
        for name in names {
            let given = answers.of(name);
            if given == 0 {
                line.push_str(&format!("{:COLUMN$}", "-"));
                continue;
            }
            let (bar, number) = (text::bar(given, most, BAR), text::count(given));
            let rest = (COLUMN - 1).saturating_sub(bar.chars().count());
            line.push_str(&format!("{} {number:rest$}", self.paint(CYAN, &bar)));
        }
        writeln!(self.out, "{}", line.trim_end())
    }

    /// What happened where there are no answers to count, below the same columns.
    pub fn told(&mut self, what: &str, text: impl Display) -> io::Result<()> {
        self.row(format_args!("{what:width$}{text}", width = MARGIN - 3))
    }

    /// A line of a table.
    pub fn row(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "   {text}")
    }

    /// What the act has shown, or in what it failed.
    pub fn verdict(&mut self, shown: impl Display, faults: Vec<String>) -> io::Result<()> {
        if faults.is_empty() {
            let mark = self.paint(GREEN, "✓");
            writeln!(self.out, "   {mark} {shown}")?;
        }
        for fault in faults {
            let line = self.paint(RED, format_args!("✗ {fault}"));
            writeln!(self.out, "   {line}")?;
            self.faults.push(format!("act {}: {fault}", self.acts));
        }
        Ok(())
    }

    /// The last lines; `left` is what could not be removed.
    pub fn end(&mut self, left: &[String], took: Duration) -> io::Result<()> {
        self.faults.extend(left.iter().map(|thing| format!("{thing} is left behind")));
        let took = text::time(took);
        if self.faults.is_empty() {
            let good = self.paint(GREEN, "All as promised");
            return writeln!(self.out, "\n{good} in {took}, and everything that was made is removed.");
        }
        let bad = self.paint(RED, "Not as promised");
        writeln!(self.out, "\n{bad} ({took}):")?;
        for fault in &self.faults {
            writeln!(self.out, "   {fault}")?;
        }
        Ok(())
    }

    /// What was not as promised.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    fn paint(&self, style: &str, text: impl Display) -> String {
        let text = text.to_string();
        if self.colour && !text.is_empty() { format!("\x1b[{style}m{text}\x1b[0m") } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn print(colour: bool, faults: &[&str]) -> (String, usize) {
        let sink = Sink::default();
        let mut report = Report::new(Box::new(sink.clone()), colour);
        let names = ["pod-1", "pod-2", "pod-3"].map(str::to_owned);
        let mut answers = Answers::default();
        for (name, times) in [("pod-1", 4), ("pod-3", 2)] {
            (0..times).for_each(|_| answers.take_name(name));
        }
        report.act("Spread", "six answers").unwrap();
        report.columns(&names).unwrap();
        report.spread("web", &names, &answers).unwrap();
        report.told("nobody", "refused").unwrap();
        report.verdict("fine", faults.iter().map(|fault| (*fault).to_owned()).collect()).unwrap();
        report.end(&[], Duration::from_millis(12)).unwrap();
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        (text, report.faults().len())
    }

    #[test]
    fn it_is_plain_text_without_colour() {
        let expected = "
1  Spread  six answers
                                      pod-1        pod-2        pod-3
   web                                █████ 4      -            ██▌ 2
   nobody                             refused
   ✓ fine

All as promised in 12 ms, and everything that was made is removed.
";
        assert_eq!(print(false, &[]), (expected.to_owned(), 0));
    }

    #[test]
    fn colour_changes_nothing_but_the_colour() {
        let (coloured, _) = print(true, &[]);
        let mut plain = String::new();
        for (number, piece) in coloured.split("\x1b[").enumerate() {
            plain.push_str(if number == 0 { piece } else { piece.split_once('m').unwrap().1 });
        }
        assert!(coloured.contains("\x1b["));
        assert_eq!(plain, print(false, &[]).0);
    }

    #[test]
    fn faults_are_said_where_they_happen_and_at_the_end() {
        let (text, faults) = print(false, &["pod-2 never answered", "one failed"]);
        assert_eq!(faults, 2);
        assert!(text.contains("   ✗ pod-2 never answered\n   ✗ one failed\n"), "{text}");
        assert!(
            text.ends_with(
                "Not as promised (12 ms):\n   act 1: pod-2 never answered\n   act 1: one failed\n"
            )
        );
    }
}
