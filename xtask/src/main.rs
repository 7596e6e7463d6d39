//! Shunt's developer commands: `cargo xtask --help`.

mod bench;
mod build_ebpf;
mod command;
mod demo;
mod deps;
mod image;
mod kernels;
mod kube_tools;
mod other_layout;
mod record;
mod test;
mod toolchain;

use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Shunt's developer commands.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the eBPF object that is committed in proxy-user/ebpf.
    BuildEbpf(build_ebpf::Options),
    /// Measures: changes, first fill, memory and connect latency against the kernel; as root.
    Bench(bench::Options),
    /// Runs all tests and prints their totals; as root also those in network namespaces.
    Test(test::Options),
    /// Builds Shunt and shows it at work in network namespaces of its own; needs root.
    Demo,
    /// Writes the agent's container image, as an OCI image layout.
    Image(image::Options),
    /// Finds or builds kube-apiserver, etcd and the other Kubernetes programs that tests run.
    KubeTools(kube_tools::Options),
    /// Builds Shunt with another layout of its maps, for the tests that go from one to the other.
    OtherLayout(other_layout::Options),
    /// Boots older kernels in virtual machines and loads the committed object there.
    Kernels(kernels::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::BuildEbpf(options) => build_ebpf::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Demo => demo::run(),
        Task::Image(options) => image::run(&options),
        Task::KubeTools(options) => kube_tools::run(&options),
        Task::OtherLayout(options) => other_layout::run(&options),
        Task::Kernels(options) => kernels::run(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The checkout that xtask was built from.
fn checkout() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path
}
