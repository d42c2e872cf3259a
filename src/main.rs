//! The program: everything is in the library.

use std::process::ExitCode;

use vandelay::cli;

fn main() -> ExitCode {
    cli::run(std::env::args_os().collect())
}
