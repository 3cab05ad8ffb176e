use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::folder::Folder;
use maildex::maildir::change::FlagChange;
use maildex::maildir::keywords::Keywords;
use maildex::ops::flag::{Plan, Whose, flag};
use maildex::ops::locate::Inside;
use maildex::query::message::MessageRef;

use crate::cli::exit::{Exit, Usage};
use crate::cli::messages::{self, Input};
use crate::cli::output::Output;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{build, query, renamed, setting, verb_of};

const EXAMPLES: &str = "\
Examples:
  Mark one message as read, and take the mark of another away:
    maildex flag ~/Maildir +S 3
    maildex flag ~/Maildir -S 4
  Two letters at once; by name is the same:
    maildex flag ~/Maildir +FS 3
    maildex flag ~/Maildir +seen,+flagged 3
  All that has not been read:
    maildex flag ~/Maildir +S --query unseen
  What another program prints, whatever the names hold:
    maildex list ~/Maildir flagged --paths -0 | maildex flag ~/Maildir -F -0 -
  Many changes in one go:
    printf '%s\\n' '+S 1' '+T 2:4' | maildex flag ~/Maildir --batch";

/// Set and clear flags, in place
///
/// SPEC says which: +S sets, -F clears, +RS-T does several, =FS sets the letters DFPRST to exactly these and leaves
/// keywords alone. Names do, too: seen, answered, flagged, draft, trashed, passed, and those in the folder's
/// dovecot-keywords (+seen). Keyword letters come one by one (+a,-b). Several are separated by commas; of what is said
/// twice the last counts. What comes after FOLDER is SPEC even if it looks like an option.
///
/// The mail is renamed, with only these letters changed, and moves from new/ to cur/ when a flag is set. No other file is
/// ever replaced by that. Prints UID and path of each message, separated by a tab, with the name that it has now. One
/// that fails never stops the rest.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[command(
    disable_help_flag = true,
    override_usage = "maildex flag [OPTIONS] <FOLDER> <SPEC> <MSG>...\n       \
        maildex flag [OPTIONS] <FOLDER> <SPEC> --query <WORD>...\n       \
        maildex flag [OPTIONS] <FOLDER> --batch\n       \
        maildex flag -r <ROOT> <SPEC> <PATH>..."
)]
pub struct Args {
    /// Mail folder
    #[arg(required_unless_present = "root", allow_hyphen_values = true)]
    folder: Option<PathBuf>,
    /// What to change: +S, -F, +RS-T, =FS, +seen, +a,-b
    #[arg(allow_hyphen_values = true)]
    spec: Option<OsString>,
    /// UIDs (3, 1:9,12), paths or base names; - reads them from standard input, one a line
    #[arg(value_name = "MSG")]
    messages: Vec<OsString>,
    /// In FOLDER's place: take paths of mails in any folders below ROOT (-r ROOT)
    #[arg(long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// Read lines of SPEC, blanks and MSG from standard input
    #[arg(long, conflicts_with_all = ["spec", "messages", "query", "root"])]
    batch: bool,
    /// On standard input each MSG, or each SPEC and MSG, ends with a NUL
    #[arg(short = '0', long)]
    null: bool,
    /// All messages that match, see maildex help query; comes last and takes all words that follow
    #[arg(long, value_name = "WORD", num_args = 1.., allow_hyphen_values = true, conflicts_with_all = ["messages", "root", "null"])]
    query: Option<Vec<String>>,
    /// Change nothing, and print what the names would be
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// One JSON object a message
    #[arg(long)]
    json: bool,
    /// Print results and errors only
    #[arg(id = "quiet", long)]
    _quiet: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
}

impl Args {
    /// For hints.
    pub fn place(&self) -> &Path {
        self.folder.as_deref().or(self.root.as_deref()).unwrap_or(Path::new(""))
    }
}

/// Short options have their meaning in FOLDER's place only: after FOLDER, `-r`, `-h` and `-q` are SPECs. So they are no
/// options for the rest of the program, which gets their long names.
pub fn with_long_options(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let Some(verb) = verb_of(&arguments).filter(|&at| arguments[at] == "flag") else { return arguments };
    let mut options = arguments[verb + 1..].iter_mut();
    while let Some(option) = options.next().filter(|option| option.as_bytes().starts_with(b"-")) {
        let long = match option.as_bytes() {
            b"-r" => "--root",
            b"-h" => "--help",
            b"-q" => "--quiet",
            b"--wait" | b"--index-dir" | b"--color" => {
                options.next();
                continue;
            }
            option if option.starts_with(b"--") => continue,
            _ => break,
        };
        *option = long.into();
        if long == "--root" {
            break;
        }
    }
    arguments
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = args.folder.as_deref();
    if args.batch {
        let path = folder.ok_or(Usage("FOLDER is missing"))?;
        let mut folder = setting::open(path)?;
        let changes = batch(&folder, args.null, out)?;
        run_in(args, path, &mut folder, &changes, out)?;
        return Ok(Exit::Done);
    }
    // With -r ROOT there is no FOLDER, and SPEC comes first.
    let (spec, first) = match &args.root {
        Some(_) => (folder.map(Path::as_os_str), args.spec.clone()),
        None => (args.spec.as_deref(), None),
    };
    let spec = spec.ok_or(Usage("SPEC is missing: +S, -F, +RS-T, =FS, +seen, or keyword letters one by one: +a,-b"))?;
    if spec.as_bytes().starts_with(b"--") {
        // A misspelt option: wrong whatever keywords the folder has.
        FlagChange::parse(&spec.to_string_lossy(), &Keywords::default())?;
    }
    if let Some(query) = &args.query {
        let path = folder.ok_or(Usage("FOLDER is missing"))?;
        let query = query::parse_option(query)?;
        let mut folder = setting::open(path)?;
        let change = read_spec(&folder, spec)?;
        run_in(args, path, &mut folder, &[(change, Whose::Query(query))], out)?;
        return Ok(Exit::Done);
    }
    // Wrong flags are told before a list is waited for, and a folder that is none before messages are missed.
    let is_first = args.messages.is_empty() || args.messages.iter().any(|message| message == "-");
    if let (Some(path), None, true) = (folder, &args.root, is_first) {
        read_spec(&setting::open(path)?, spec)?;
    }
    let words: Vec<_> = first.into_iter().chain(args.messages.iter().cloned()).collect();
    let input = Input { folder: folder.filter(|_| args.root.is_none()), root: args.root.as_deref(), null: args.null };
    messages::each_folder(&input, &words, out, |path, wanted, out| {
        let mut folder = setting::open(path)?;
        let change = read_spec(&folder, spec)?;
        let changes: Vec<_> = wanted.iter().map(|wanted| (change, Whose::Named(wanted.clone()))).collect();
        run_in(args, path, &mut folder, &changes, out)
    })?;
    Ok(Exit::Done)
}

fn run_in(
    args: &Args,
    path: &Path,
    folder: &mut Folder,
    changes: &[(FlagChange, Whose)],
    out: &mut Output,
) -> anyhow::Result<()> {
    let plan = Plan { changes, dry_run: args.dry_run, wait: args.waiting.time };
    let done = flag(folder, &plan, &mut waiting::tell(path, out), &mut build::until_asked)?;
    if let Some(report) = &done.refreshed {
        build::problems(report, path, out);
    }
    renamed::print(path, folder, done.messages.iter().map(|message| (message, None)), args.json, out)?;
    out.failed_all(&done.failed);
    done.stopped.map_or(Ok(()), |error| Err(error.into()))
}

/// A SPEC, with the keywords of a folder.
fn read_spec(folder: &Folder, spec: &OsStr) -> Result<FlagChange, Error> {
    FlagChange::parse(&spec.to_string_lossy(), &Keywords::read(folder.maildir().root()))
}

/// The lines of `--batch`. What is wrong with one is told, and the rest goes on.
fn batch(folder: &Folder, null: bool, out: &mut Output) -> anyhow::Result<Vec<(FlagChange, Whose)>> {
    let keywords = Keywords::read(folder.maildir().root());
    let mut inside = Inside::new(folder.maildir());
    let mut read = |line: &OsStr| {
        let line = line.as_bytes();
        let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
        let change = FlagChange::parse(&String::from_utf8_lossy(&line[..end]), &keywords)?;
        let message = line[end..].trim_ascii_start();
        if message.is_empty() {
            let spec = String::from_utf8_lossy(line).into_owned();
            return Err(Error::Spec { spec, expected: "SPEC, a blank, and MSG".into() });
        }
        let message = MessageRef::parse(OsStr::from_bytes(message))?;
        inside.check([&message])?;
        Ok((change, Whose::Named(message)))
    };
    let mut changes = Vec::new();
    for line in messages::list(null)? {
        match read(&line) {
            Ok(change) => changes.push(change),
            Err(error) => out.failed(&error),
        }
    }
    Ok(changes)
}
