use std::path::PathBuf;

use maildex::ops::count::count;
use maildex::query::Query;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::reading;

const EXAMPLES: &str = "\
Examples:
  How many have not been read:
    maildex count ~/Maildir unseen
  As of the last refresh, as quickly as can be, for a status line:
    maildex count ~/Maildir unseen --no-refresh";

/// Print how many messages there are
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Count only these: a UID set (3, 1:9,12, 100:*) or search keys such as unseen, flagged, new
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let query = Query::parse(args.query.iter().map(String::as_str))?;
    let mut folder = reading::open(&args.folder, !args.no_refresh, out)?;
    let number = count(&folder.complete_index()?.snapshot()?, &query)?;
    out.line(number)?;
    Ok(Exit::Done)
}
