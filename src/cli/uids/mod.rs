//! `uids`: what cannot be rebuilt.

mod export;
mod import;
mod status;

use std::path::Path;

use maildex::ops::uids::Refusal;
use maildex::uidlist::Format;

use crate::cli::exit::Exit;
use crate::cli::output::Output;

/// Keep UIDs safe, and exchange them with Dovecot and Courier
///
/// Everything in an index can be made again from the mail, but not which number is which mail's. These verbs write the
/// numbers down, as a back-up or where Dovecot or Courier keep theirs, and take them up again.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    Status(status::Args),
    Export(export::Args),
    Import(import::Args),
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    match &args.verb {
        Verb::Status(args) => status::run(args, out),
        Verb::Export(args) => export::run(args, out),
        Verb::Import(args) => import::run(args, out),
    }
}

impl Args {
    /// The folder that the verb is about.
    pub fn folder(&self) -> &Path {
        match &self.verb {
            Verb::Status(args) => &args.folder,
            Verb::Export(args) => &args.folder,
            Verb::Import(args) => &args.folder,
        }
    }
}

/// The format of a list, on the command line.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Named {
    /// A line for each message, UID and base name, that any bytes survive: for back-ups
    Tsv,
    /// dovecot-uidlist, version 3
    Dovecot,
    /// courierimapuiddb, version 1
    Courier,
}

impl From<Named> for Format {
    fn from(named: Named) -> Format {
        match named {
            Named::Tsv => Format::Tsv,
            Named::Dovecot => Format::Dovecot,
            Named::Courier => Format::Courier,
        }
    }
}

/// Tells what stands against a list that was to replace `what`.
fn refuse(refusal: &Refusal, what: &Path, hint: String, out: &mut Output) -> Exit {
    let what = what.display();
    for conflict in &refusal.conflicts {
        out.error(format_args!("{what}: {conflict}"), None);
    }
    let (here, listed) = refusal.uid_validity;
    if refusal.count == 0 {
        out.error(
            format_args!("{what}: UIDVALIDITY is {here}, and {listed} in the list; nothing was changed"),
            Some(hint),
        );
        return Exit::Unusable;
    }
    let more = refusal.count - refusal.conflicts.len();
    let more = if more > 0 { format!(" ({more} more than shown)") } else { String::new() };
    let numbers = if refusal.count == 1 { "1 number" } else { &format!("{} numbers", refusal.count) };
    out.error(format_args!("{what}: {numbers} would name another mail{more}; nothing was changed"), Some(hint));
    Exit::Unusable
}
