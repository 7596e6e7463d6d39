//! The `shunt` command.

fn main() -> std::process::ExitCode {
    shunt::cli::main()
}
