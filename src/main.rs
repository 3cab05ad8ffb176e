//! The command line of maildex: parse, run, print the error and its hint, exit.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
