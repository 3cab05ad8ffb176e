use std::path::PathBuf;

use maildex::lock::is_wanted;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::setting;

const EXAMPLES: &str = "\
Examples:
  Between two pieces of work:
    maildex lock wanted ~/Maildir || echo 'nobody waits'";

/// Ask whether somebody waits for the lock of a folder
///
/// Exit status 0 if somebody does, 1 if nobody. For scripts that hold the lock for long, and can let go of it between two
/// pieces of work: `maildex lock wanted FOLDER && break`.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
}

pub fn run(args: &Args, _: &mut Output) -> anyhow::Result<Exit> {
    let folder = setting::open(&args.folder)?;
    Ok(if is_wanted(folder.dir())? { Exit::Done } else { Exit::No })
}
