//! Measures Shunt against the kernel, prints one table and writes a JSON file per scenario. Needs
//! root; started by `cargo xtask bench`.

use anyhow::{Result, bail};
use benches::{
    plane,
    report::Report,
    scenario::{Scale, change, connect, fill, memory, packet, scale, storm, throughput, watchers},
    table,
};
use clap::{Parser, ValueEnum};
use shunt::lab;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Measures Shunt against the kernel.
#[derive(Parser)]
struct Arguments {
    /// How large and how often.
    #[arg(long, default_value = "small")]
    scale: Scale,
    /// Where the JSON files go.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
    /// Only these scenarios.
    #[arg(long)]
    only: Vec<Name>,
    /// The `shunt` program that is measured as a whole.
    #[arg(long, default_value = "target/release/shunt")]
    agent: PathBuf,
    /// Internal: be the process whose memory is measured, with this many services.
    #[arg(long = "memory-of", hide = true)]
    memory_of: Option<u32>,
}

/// The scenarios, in their order.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Change,
    Fill,
    Memory,
    Connect,
    Packet,
    Throughput,
    Scale,
    Watchers,
    Storm,
}

impl Name {
    /// Whether it is measured beside a real API server.
    const fn needs_kubernetes(self) -> bool {
        matches!(self, Self::Scale | Self::Watchers)
    }

    fn run(self, scale: Scale, agent: &Path) -> Result<Report> {
        match self {
            Self::Change => change::run(scale),
            Self::Fill => fill::run(scale),
            Self::Memory => memory::run(scale),
            Self::Connect => connect::run(scale),
            Self::Packet => packet::run(scale),
            Self::Throughput => throughput::run(scale),
            Self::Scale => scale::run(scale, agent),
            Self::Watchers => watchers::run(scale),
            Self::Storm => storm::run(scale, agent),
        }
    }
}

fn main() -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let arguments = Arguments::parse();
    if let Some(services) = arguments.memory_of {
        memory::child(services)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Err(reason) = lab::available() {
        bail!("{reason}");
    }
    // What a bench that was killed left behind.
    lab::sweep()?;
    let mut reports = Vec::new();
    for name in Name::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(name) {
            if arguments.only.is_empty()
                && name.needs_kubernetes()
                && let Err(missing) = plane::tools()
            {
                eprintln!(
                    "left out, {missing}: {}",
                    name.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned())
                );
                continue;
            }
            let report = name.run(arguments.scale, &arguments.agent)?;
            report.write(&arguments.output)?;
            eprintln!("{} done", report.scenario);
            reports.push(report);
        }
    }
    if let Some(report) = reports.first() {
        let machine = &report.machine;
        println!("{}, {} CPUs, Linux {}, {}", machine.cpu, machine.cpus, machine.kernel, machine.date);
    }
    print!("{}", table::render(&reports));
    println!("\nJSON: {}", arguments.output.display());
    Ok(ExitCode::SUCCESS)
}
