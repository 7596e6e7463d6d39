//! What a scenario found: figures with their spread, and whether the targets are met.

use crate::machine::Machine;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// What one scenario found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Name of the scenario, and of its file.
    pub scenario: &'static str,
    /// One line on what is measured.
    pub about: &'static str,
    /// On what, and when.
    pub machine: Machine,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What was asked for.
    pub targets: Vec<Target>,
}

/// Something measured several times.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What.
    pub what: String,
    /// Number of services in the cluster.
    pub services: u32,
    /// Unit of the values.
    pub unit: String,
    /// Half of the samples are smaller.
    pub median: f64,
    /// One sample in a hundred is larger.
    pub p99: f64,
    /// The smallest sample.
    pub min: f64,
    /// The largest sample.
    pub max: f64,
    /// Number of samples.
    pub n: usize,
}

/// A limit, and what was measured.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Target {
    /// What is limited.
    pub what: String,
    /// Unit of limit and value; empty for a ratio.
    pub unit: &'static str,
    /// What the value should not pass.
    pub limit: f64,
    /// On which side of the limit it should be.
    pub bound: Bound,
    /// What was measured.
    pub value: f64,
    /// It is on that side.
    pub met: bool,
}

/// The side of a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Not larger.
    Most,
    /// Not smaller.
    Least,
}

impl Figure {
    /// Sums samples up.
    ///
    /// # Panics
    /// Without any sample.
    #[must_use]
    pub fn new(what: impl Into<String>, services: u32, unit: &str, mut samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "a figure without samples");
        samples.sort_by(f64::total_cmp);
        let n = samples.len();
        let quantile = |percent: usize| samples[((n * percent).div_ceil(100)).clamp(1, n) - 1];
        Self {
            what: what.into(),
            services,
            unit: unit.to_owned(),
            median: quantile(50),
            p99: quantile(99),
            min: samples[0],
            max: samples[n - 1],
            n,
        }
    }
}

impl Target {
    /// Compares a value with its limit.
    #[must_use]
    pub fn at_most(what: impl Into<String>, unit: &'static str, limit: f64, value: f64) -> Self {
        Self { what: what.into(), unit, limit, bound: Bound::Most, value, met: value <= limit }
    }

    /// Compares a value with what it should reach.
    #[must_use]
    pub fn at_least(what: impl Into<String>, unit: &'static str, limit: f64, value: f64) -> Self {
        Self { what: what.into(), unit, limit, bound: Bound::Least, value, met: value >= limit }
    }
}

impl Report {
    /// A report of this machine.
    #[must_use]
    pub fn new(scenario: &'static str, about: &'static str) -> Self {
        Self { scenario, about, machine: Machine::read(), figures: Vec::new(), targets: Vec::new() }
    }

    /// A figure.
    ///
    /// # Errors
    /// Where there is no such figure.
    pub fn figure(&self, what: &str, services: u32) -> Result<&Figure> {
        let figure = self.figures.iter().find(|f| f.what == what && f.services == services);
        figure.with_context(|| format!("no figure '{what}' at {services} services"))
    }

    /// The median of a figure.
    ///
    /// # Errors
    /// Where there is no such figure.
    pub fn median(&self, what: &str, services: u32) -> Result<f64> {
        Ok(self.figure(what, services)?.median)
    }

    /// Writes `<scenario>.json` into a directory, which is made if it is missing.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| format!("mkdir({})", directory.display()))?;
        let path = directory.join(self.scenario).with_extension("json");
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(&path, text).with_context(|| format!("write({})", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_holds_the_order_statistics() {
        let figure = Figure::new("x", 1, "ns", (1..=1000).rev().map(f64::from).collect());
        assert_eq!((figure.median, figure.p99, figure.min, figure.max), (500.0, 990.0, 1.0, 1000.0));
        let one = Figure::new("x", 1, "ns", vec![7.0]);
        assert_eq!((one.median, one.p99, one.n), (7.0, 7.0, 1));
    }

    #[test]
    fn a_limit_may_be_reached_but_not_passed() {
        assert!(Target::at_most("x", "", 1.5, 1.5).met);
        assert!(!Target::at_most("x", "", 1.5, 1.51).met);
        assert!(Target::at_least("x", "", 1.5, 1.5).met);
        assert!(!Target::at_least("x", "", 1.5, 1.49).met);
    }
}
