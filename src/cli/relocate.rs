use std::ffi::OsString;
use std::path::{Path, PathBuf};

use maildex::dir::Dir;
use maildex::folder::Folder;
use maildex::lock::Wait;
use maildex::maildir::change::FlagChange;
use maildex::maildir::transfer;
use maildex::ops::flag::{Plan, Whose};
use maildex::ops::relocate::{Done, Kind, relocate};

use crate::cli::exit::{Exit, Usage};
use crate::cli::messages::{self, Input};
use crate::cli::output::Output;
use crate::cli::placed::{self, Placed};
use crate::cli::waiting::{self, Waiting};
use crate::cli::{build, query, setting};

const MOVE_EXAMPLES: &str = "\
Examples:
  To another folder, which is made if it is not there:
    maildex move ~/Maildir ~/Work --create 21
  All that Ann wrote and has been read:
    maildex move ~/Maildir ~/Ann --create --query seen from ann@example.org
  What another program prints:
    maildex list ~/Maildir larger 5M --paths -0 | maildex move ~/Maildir ~/Work -0 -";

const COPY_EXAMPLES: &str = "\
Examples:
  To another folder, which is made if it is not there:
    maildex copy ~/Maildir ~/Work --create 22
  A back-up of what is flagged:
    maildex copy ~/Maildir ~/Flagged --create --query flagged";

/// Move messages to another folder
///
/// The file moves by one rename, so that the mail is in one of the two folders at any time; to another file system it is
/// copied, and removed when the copy is on disk. Flags and time of delivery stay. So does the file name up to the first
/// comma, unless DEST has a mail of that name, with ,S= and ,W=; what mbsync adds (,U=) stays behind. Letters of keywords
/// go by their names, where both folders have a dovecot-keywords.
///
/// DEST needs no index, and gets none. Prints UID and path of each message in DEST, separated by a tab, or - in the place of
/// the UID. One that fails never stops the rest.
#[derive(clap::Args)]
#[command(
    after_long_help = MOVE_EXAMPLES,
    override_usage = "maildex move [OPTIONS] <FOLDER> <DEST> <MSG>...\n       \
        maildex move [OPTIONS] <FOLDER> <DEST> --query <WORD>...\n       \
        maildex move [OPTIONS] -r <ROOT> <DEST> <PATH>..."
)]
pub struct MoveArgs {
    #[command(flatten)]
    pub args: Args,
}

/// Copy messages to another folder
///
/// The copies are files of their own, with the flags and the time of delivery of the originals. Names, keywords and what is
/// printed are as for `move`.
#[derive(clap::Args)]
#[command(
    after_long_help = COPY_EXAMPLES,
    override_usage = "maildex copy [OPTIONS] <FOLDER> <DEST> <MSG>...\n       \
        maildex copy [OPTIONS] <FOLDER> <DEST> --query <WORD>...\n       \
        maildex copy [OPTIONS] -r <ROOT> <DEST> <PATH>..."
)]
pub struct CopyArgs {
    #[command(flatten)]
    pub args: Args,
}

#[derive(clap::Args)]
pub struct Args {
    /// Mail folder
    #[arg(required_unless_present = "root")]
    folder: Option<PathBuf>,
    /// The folder that the mail is to get to
    #[arg(required_unless_present = "root")]
    dest: Option<OsString>,
    /// UIDs (3, 1:9,12), paths or base names; - reads them from standard input, one a line
    #[arg(value_name = "MSG")]
    messages: Vec<OsString>,
    /// Make DEST if it is not there
    #[arg(long)]
    create: bool,
    /// All messages that match; comes last and takes all words that follow
    #[arg(long, value_name = "WORD", num_args = 1.., allow_hyphen_values = true, conflicts_with_all = ["messages", "root", "null"])]
    query: Option<Vec<String>>,
    /// In FOLDER's place: take paths of mails in any folders below ROOT
    #[arg(short, long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// On standard input each MSG ends with a NUL
    #[arg(short = '0', long)]
    null: bool,
    /// Change nothing, and print what would be done
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

/// Where mail goes.
pub struct To<'t> {
    pub path: &'t Path,
    pub create: bool,
    pub dry_run: bool,
    pub json: bool,
}

pub fn run(args: &Args, kind: Kind, out: &mut Output) -> anyhow::Result<Exit> {
    // With -r ROOT there is no FOLDER, and DEST comes first.
    let (folder, dest, first) = match &args.root {
        Some(_) => (None, args.folder.clone(), args.dest.clone()),
        None => (args.folder.as_deref(), args.dest.as_ref().map(PathBuf::from), None),
    };
    let dest = dest.ok_or(Usage("DEST is missing: the folder that the mail is to get to"))?;
    let to = To { path: &dest, create: args.create, dry_run: args.dry_run, json: args.json };
    if let Some(words) = &args.query {
        let path = folder.ok_or(Usage("FOLDER is missing"))?;
        relocate_in(path, &to, kind, vec![Whose::Query(query::parse_option(words)?)], args.waiting.time, out)?;
        return Ok(Exit::Done);
    }
    let words: Vec<_> = first.into_iter().chain(args.messages.iter().cloned()).collect();
    let input = Input { folder, root: args.root.as_deref(), null: args.null };
    messages::each_folder(&input, &words, out, |path, wanted, out| {
        relocate_in(path, &to, kind, wanted.iter().cloned().map(Whose::Named).collect(), args.waiting.time, out)
    })?;
    Ok(Exit::Done)
}

/// From one folder, with what is to be printed of it.
pub fn relocate_in(
    path: &Path,
    to: &To<'_>,
    kind: Kind,
    whose: Vec<Whose>,
    wait: Wait,
    out: &mut Output,
) -> anyhow::Result<()> {
    let (mut dest, done) = moved(path, to, kind, whose, wait, out)?;
    let is_terminal = out.is_for_people();
    let uid_validity = dest.index().map(|index| index.identity().uid_validity).ok();
    let placed = Placed { folder: to.path, maildir: dest.maildir(), uid_validity, event: "added", is_terminal };
    let messages = done.messages.iter().map(|mail| (mail.uid, mail.sub, &*mail.name, Some(mail.was_uid)));
    placed.print_all(messages, &done.failed, to.json, out)?;
    done.stopped.map_or(Ok(()), |error| Err(error.into()))
}

/// The same without printing what has moved; to where, and what came of it.
pub fn moved(
    path: &Path,
    to: &To<'_>,
    kind: Kind,
    whose: Vec<Whose>,
    wait: Wait,
    out: &mut Output,
) -> anyhow::Result<(Folder, Done)> {
    let mut from = setting::open(path)?;
    from.complete_index()?;
    if to.create && !to.dry_run {
        transfer::create(to.path, from.maildir())?;
    }
    // The error names the folder that is not there, and what it takes.
    Dir::open(to.path)?;
    let mut dest = setting::open(to.path)?;
    let changes: Vec<_> = whose.into_iter().map(|whose| (FlagChange::default(), whose)).collect();
    let plan = Plan { changes: &changes, dry_run: to.dry_run, wait };
    let done = relocate(&mut from, &mut dest, kind, &plan, &mut waiting::tell(path, out), &mut build::until_asked)?;
    if let Some(report) = &done.refreshed {
        build::problems(report, path, out);
    }
    if kind == Kind::Move {
        placed::warn_of_quota(from.maildir(), out);
    }
    placed::warn_of_quota(dest.maildir(), out);
    if !done.lost_keywords.is_empty() {
        let (keywords, dest) = (done.lost_keywords.join(", "), to.path.display());
        out.note(format_args!("{dest}: its dovecot-keywords does not have these keywords, left out: {keywords}"));
    }
    if done.unsure_keywords {
        let dest = to.path.display();
        out.note(format_args!("{dest}: letters of keywords were kept; only one of the folders has a dovecot-keywords"));
    }
    if let Some(error) = &done.behind {
        out.note(error);
        out.note(format_args!("{}: its index does not show yet what has gone", path.display()));
    }
    Ok((dest, done))
}
