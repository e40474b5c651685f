//! The `cenote-consumer` tool: looks into a dataset from a command line.
//!
//! A thin shell around the library: what it can do, a program can do. Exit codes: 0 done, 1 failed (a record that isn't
//! there, damage), 2 wrong use.

#![forbid(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
