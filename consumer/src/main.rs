//! The `cenote-consumer` tool: reads a dataset from a command line.
//!
//! Everything that it does, a program can do with the library. Exit codes: 0 success, 1 failure (no such record,
//! damage), 2 wrong use.

#![forbid(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
