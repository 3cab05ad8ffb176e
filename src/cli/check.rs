use std::path::{Path, PathBuf};

use maildex::ops::check::check;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::terminal::escaped;
use crate::cli::tree::Recursive;
use crate::cli::{setting, text};

const EXAMPLES: &str = "\
Examples:
  Look for damage, and mend it if there is any:
    maildex check ~/Maildir || maildex build ~/Maildir --full";

/// Look for damage in the index of a folder, and change nothing
///
/// Prints what is wrong, in which file, at which offset, what was found and what was expected there. Exit status 1 if
/// anything is. An index that only lags behind the folder is not damaged.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    #[command(flatten)]
    recursive: Recursive,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    args.recursive.each(&args.folder, out, check_one)
}

fn check_one(path: &Path, out: &mut Output) -> anyhow::Result<Exit> {
    let found = check(&mut setting::open(path)?)?;
    for note in &found.notes {
        out.note(note);
    }
    for damage in &found.damage {
        out.line(escaped(&damage.to_string()))?;
    }
    if found.damage.is_empty() {
        let messages = text::count(found.messages, "message");
        out.line(format_args!("{}: {messages}, no damage", path.display()))?;
        return Ok(Exit::Done);
    }
    let build = format!("maildex build {} --full", path.display());
    out.hint(format_args!("{build} mends what it can without changing a UID"));
    Ok(Exit::No)
}
