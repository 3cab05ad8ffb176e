//! `lock`: the folder lock for shell scripts.

mod acquire;
mod r#break;
pub mod guard;
mod hold;
mod release;
mod run;
mod status;
mod wanted;

use std::path::Path;

use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// Hold the lock of a folder, ask who has it, get rid of a dead one
///
/// One program at a time writes to what maildex keeps of a folder. These verbs let shell scripts take part: a script that
/// holds the lock knows that nobody else changes the index, and all verbs that it starts work under its lock.
///
/// A dead holder blocks nobody, and a living one is never robbed. Whoever waits asks the holder to let go.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Run(run::Args),
    Acquire(acquire::Args),
    Release(release::Args),
    Status(status::Args),
    Wanted(wanted::Args),
    Break(r#break::Args),
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Run(args) => run::run(args, out),
        Verb::Acquire(args) => acquire::run(args, out),
        Verb::Release(args) => release::run(args, out),
        Verb::Status(args) => status::run(args, out),
        Verb::Wanted(args) => wanted::run(args, out),
        Verb::Break(args) => r#break::run(args, out),
    }
}

impl Args {
    /// The folder that the verb is about.
    pub fn folder(&self) -> &Path {
        match &self.verb {
            Verb::Run(args) => &args.hold.folder,
            Verb::Acquire(args) => &args.hold.folder,
            Verb::Release(args) => &args.folder,
            Verb::Status(args) => &args.folder,
            Verb::Wanted(args) => &args.folder,
            Verb::Break(args) => &args.folder,
        }
    }
}
