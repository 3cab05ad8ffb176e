use std::path::PathBuf;

use maildex::Error;
use maildex::lock::break_stale;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::setting;

const EXAMPLES: &str = "\
Examples:
  Tidy up in a script, whoever works there:
    maildex lock break --if-stale ~/Maildir";

/// Remove the lockfile that a dead holder left
///
/// There is no need to: the next one that wants the lock does so. A lock that is held is never taken away: then the
/// message names the process to end, and the exit status is 75.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Leave a lock that is held alone, without a word and with exit status 0
    #[arg(long)]
    if_stale: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = setting::open(&args.folder)?;
    let path = args.folder.display();
    match break_stale(folder.dir(), folder.access()) {
        Ok(true) => out.note(format_args!("{path}: removed the lockfile of a dead holder")),
        Ok(false) => out.note(format_args!("{path}: nobody has the lock")),
        Err(Error::Locked { .. }) if args.if_stale => {}
        Err(error @ Error::Locked { .. }) => {
            let process = match &error {
                Error::Locked { owner: Some(owner), .. } if owner.is_near() => format!("process {}", owner.pid),
                _ => "that process".into(),
            };
            out.error(&error, Some(format!("it is in use, so it is not taken away; to be rid of it, end {process}")));
            return Ok(Exit::Busy);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Done)
}
