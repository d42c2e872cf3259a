//! The program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    vandelay::cli::run(std::env::args_os().collect())
}
