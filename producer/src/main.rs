//! The `cenote-producer` job: publishes files, shows the log, brings an old version back.
//!
//! The commands are in `cli`, in the library's crate. Exit codes: 0 done (an unchanged dataset is
//! done, too), 1 failed, 2 wrong use.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    cenote_producer::main()
}
