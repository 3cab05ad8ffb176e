use std::path::PathBuf;
use std::time::Duration;

use maildex::lock::guard::{NotReleased, release};

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::setting;

/// The guard lets go within milliseconds, unless the machine has much else to do.
const PATIENCE: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  Let go, from whichever terminal:
    maildex lock release ~/Maildir";

/// Let go of a lock that `lock acquire` took
///
/// Without ID it is the one in `MAILDEX_LOCK`, or else whichever the folder has. Exit status 75, and nothing is done, if the
/// lock is another one, or was not taken by `lock acquire`. If nobody has the lock there is nothing to do.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// What `lock acquire` printed
    id: Option<String>,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = setting::open(&args.folder)?;
    let id = match &args.id {
        Some(id) => Some(id.as_str()),
        None => folder.given_lock()?,
    };
    let path = args.folder.display();
    match release(folder.dir(), id, PATIENCE)? {
        Ok(()) => Ok(Exit::Done),
        Err(NotReleased::Free) if args.id.is_none() => {
            out.note(format_args!("{path}: nobody has the lock"));
            Ok(Exit::Done)
        }
        Err(NotReleased::Free) => {
            out.error(format_args!("{path}: not released: the lock is no longer held"), None);
            Ok(Exit::Busy)
        }
        Err(NotReleased::Refused(owner, why)) => {
            let owner = owner.map_or_else(String::new, |owner| format!(": {owner}"));
            out.error(format_args!("{path}: not released: {why}{owner}"), None);
            Ok(Exit::Busy)
        }
    }
}
