use std::path::PathBuf;

use maildex::ops::inc::inc;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{build, renamed, setting};

const EXAMPLES: &str = "\
Examples:
  Take up what has come, and show it:
    maildex inc ~/Maildir | cut -f 2";

/// Take new mail up: move what is in new/ to cur/
///
/// No flag is set; `flag` moves mail to cur/ by itself when it sets one. Prints UID and path of each message that was
/// moved, separated by a tab.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    #[command(flatten)]
    waiting: Waiting,
    /// One JSON object a message
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut folder = setting::open(&args.folder)?;
    let done = inc(&mut folder, args.waiting.time, &mut waiting::tell(&args.folder, out), &mut build::until_asked)?;
    build::problems(&done.refreshed, &args.folder, out);
    renamed::print(&args.folder, &mut folder, done.messages.iter().map(|message| (message, None)), args.json, out)?;
    out.failed_all(&done.failed);
    done.stopped.map_or(Ok(Exit::Done), |error| Err(error.into()))
}
