//! The `cenote-producer` job: publishes files, shows the log, brings an old version back.
//!
//! A thin shell around the library: what it can do, a program can do. Exit codes: 0 done (an unchanged dataset is
//! done, too), 1 failed, 2 wrong use.

#![forbid(unsafe_code)]

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
