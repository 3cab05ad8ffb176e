//! The command line of maildex: parse, run, print the error and its hint, exit.
#![deny(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
