use std::ffi::OsString;
use std::path::{Path, PathBuf};

use maildex::maildir::change::FlagChange;
use maildex::ops::expunge::expunge;
use maildex::ops::flag::{Plan, Whose};
use maildex::ops::relocate::Kind;

use crate::cli::exit::{Exit, Usage};
use crate::cli::messages::{self, Input};
use crate::cli::output::Output;
use crate::cli::placed::Placed;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{build, placed, query, relocate, setting};

const EXAMPLES: &str = "\
Examples:
  What is marked as trashed; first only to see what that is:
    maildex expunge ~/Maildir --trashed --dry-run
    maildex expunge ~/Maildir --trashed
  What is large goes to another folder instead:
    maildex expunge ~/Maildir --trash ~/Trash --create --query seen larger 5M";

/// Remove messages, for good
///
/// A mail whose contents may have changed since it was indexed (size, time of delivery or inode are other ones) is not
/// removed, but named, and the exit status is 4. With --trash nothing is removed: the mail moves to another folder, as with
/// `move`. Prints UID and path of each message: those that it had, or with --trash those that it has now.
#[derive(clap::Args)]
#[command(
    after_long_help = EXAMPLES,
    override_usage = "maildex expunge [OPTIONS] <FOLDER> <MSG>...\n       \
        maildex expunge [OPTIONS] <FOLDER> --trashed\n       \
        maildex expunge [OPTIONS] <FOLDER> --query <WORD>...\n       \
        maildex expunge [OPTIONS] -r <ROOT> <PATH>..."
)]
pub struct Args {
    /// Mail folder
    #[arg(required_unless_present = "root")]
    folder: Option<PathBuf>,
    /// UIDs (3, 1:9,12), paths or base names; - reads them from standard input, one a line
    #[arg(value_name = "MSG")]
    messages: Vec<OsString>,
    /// Those with the flag T, as for --query deleted
    #[arg(long, conflicts_with_all = ["messages", "root", "null", "query"])]
    trashed: bool,
    /// All messages that match; comes last and takes all words that follow
    #[arg(long, value_name = "WORD", num_args = 1.., allow_hyphen_values = true, conflicts_with_all = ["messages", "root", "null"])]
    query: Option<Vec<String>>,
    /// Move them to this folder instead
    #[arg(long, value_name = "DIR")]
    trash: Option<PathBuf>,
    /// Make the folder of --trash if it is not there
    #[arg(long, requires = "trash")]
    create: bool,
    /// In FOLDER's place: take paths of mails in any folders below ROOT
    #[arg(short, long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// On standard input each MSG ends with a NUL
    #[arg(short = '0', long)]
    null: bool,
    /// Change nothing, and print what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// One JSON object a message
    #[arg(long)]
    json: bool,
}

impl Args {
    /// For hints.
    pub fn place(&self) -> &Path {
        self.folder.as_deref().or(self.root.as_deref()).unwrap_or(Path::new(""))
    }
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let do_in = |path: &Path, whose: Vec<Whose>, out: &mut Output| match &args.trash {
        None => remove(args, path, whose, out),
        Some(trash) => {
            let to = relocate::To { path: trash, create: args.create, dry_run: args.dry_run, json: args.json };
            relocate::relocate_in(path, &to, Kind::Move, whose, args.waiting.time, out)
        }
    };
    if args.trashed || args.query.is_some() {
        let query = match &args.query {
            Some(words) => query::parse_option(words)?,
            None => query::parse(&["deleted".into()])?,
        };
        let path = args.folder.as_deref().ok_or(Usage("FOLDER is missing"))?;
        do_in(path, vec![Whose::Query(query)], out)?;
        return Ok(Exit::Done);
    }
    let input = Input { folder: args.folder.as_deref(), root: args.root.as_deref(), null: args.null };
    messages::each_folder(&input, &args.messages, out, |path, wanted, out| {
        do_in(path, wanted.iter().cloned().map(Whose::Named).collect(), out)
    })?;
    Ok(Exit::Done)
}

fn remove(args: &Args, path: &Path, whose: Vec<Whose>, out: &mut Output) -> anyhow::Result<()> {
    let mut folder = setting::open(path)?;
    let changes: Vec<_> = whose.into_iter().map(|whose| (FlagChange::default(), whose)).collect();
    let plan = Plan { changes: &changes, dry_run: args.dry_run, wait: args.waiting.time };
    let done = expunge(&mut folder, &plan, &mut waiting::tell(path, out), &mut build::until_asked)?;
    if let Some(report) = &done.refreshed {
        build::problems(report, path, out);
    }
    placed::warn_of_quota(folder.maildir(), out);
    let is_terminal = out.is_for_people();
    let uid_validity = Some(folder.index()?.identity().uid_validity);
    let gone = Placed { folder: path, maildir: folder.maildir(), uid_validity, event: "removed", is_terminal };
    let messages = done.messages.iter().map(|mail| (Some(mail.uid), mail.sub, &*mail.name, None));
    gone.print_all(messages, &done.failed, args.json, out)?;
    done.stopped.map_or(Ok(()), |error| Err(error.into()))
}
