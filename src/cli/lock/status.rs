use std::path::PathBuf;

use maildex::lock::{Holder, LOCKFILE, holder, holding, is_wanted};

use crate::cli::exit::Exit;
use crate::cli::json::{self, LockRecord};
use crate::cli::output::Output;
use crate::cli::setting;
use crate::cli::terminal::escaped;

const EXAMPLES: &str = "\
Examples:
  Who has it:
    maildex lock status ~/Maildir";

/// Say who holds the lock of a folder
///
/// Process, host, command, since when, why; whether it is stopped or has ended, and whether somebody waits for the lock.
/// Takes the lock from nobody.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = setting::open(&args.folder)?;
    let holder = holder(folder.dir())?;
    let is_stale = matches!(holder, Holder::Nobody) && folder.dir().id_of(LOCKFILE)?.is_some();
    let is_wanted = is_wanted(folder.dir())?;
    let holding = if matches!(holder, Holder::Nobody) { Vec::new() } else { holding(folder.dir())? };
    if args.json {
        json::line(out.stdout(), &LockRecord::new(&args.folder, &holder, &holding, is_stale, is_wanted))?;
        return Ok(Exit::Done);
    }
    let mut text = match &holder {
        Holder::Nobody if is_stale => "free; a dead holder left its lockfile, which the next one removes".to_string(),
        Holder::Nobody => "free".to_string(),
        Holder::Somebody(Some(owner)) => owner.to_string(),
        Holder::Somebody(None) => {
            let names: Vec<_> = holding.iter().map(|(pid, command)| format!("process {pid} ({command})")).collect();
            let names = if names.is_empty() { "a process that cannot be named".into() } else { names.join(" and ") };
            format!("held by {names}; the lockfile does not say why")
        }
    };
    if is_wanted {
        text.push_str("; somebody waits for it");
    }
    out.line(escaped(&format!("{}: {text}", args.folder.display())))?;
    Ok(Exit::Done)
}
