use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::dir::{Dir, FileId};
use maildex::folder::Folder;
use maildex::format::Uid;
use maildex::maildir::change::FlagChange;
use maildex::ops::dedupe::{By, Keepers, Place, find, prepare, remove, unite};
use maildex::ops::flag::{Plan, Whose};
use maildex::ops::relocate::Kind;
use maildex::query::message::MessageRef;
use rustix::io::Errno;

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::relocate::{self, To};
use crate::cli::waiting::{self, Waiting};
use crate::cli::{build, json, placed, setting, signals, text};

const EXAMPLES: &str = "\
Examples:
  See what there is more than once, and then take it away:
    maildex dedupe ~/Maildir --dry-run
    maildex dedupe ~/Maildir
  Copies that came by different ways, as from a mailing list, to where they can be looked at:
    maildex dedupe ~/Maildir --by message-id --trash ~/Doubles --create";

/// Remove mail that is there more than once
///
/// Of mails that are the same, the first one stays: by the order of the folders, then by UID, but one that is marked as
/// trashed never stays for one that is not. It gets the flags that any of the others has, but for T and D, and keywords only
/// within a folder. Then the others are removed as `expunge` does it.
///
/// Prints for each one that goes UID and path, and UID and folder of the one that stays.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    #[arg(required = true, value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// What makes mails the same
    #[arg(long, value_enum, default_value_t = Same::Content)]
    by: Same,
    /// Move them to this folder instead
    #[arg(long, value_name = "DIR")]
    trash: Option<PathBuf>,
    /// Make the folder of --trash if it is not there
    #[arg(long, requires = "trash")]
    create: bool,
    /// Change nothing, and print what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// One JSON object a message
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Same {
    /// Every byte is equal
    Content,
    /// The Message-ID is equal; the rest may be anything, such as what a mailing list adds
    MessageId,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut folders: Vec<Folder> = Vec::new();
    let mut paths = Vec::new();
    let (wait, mut ids) = (args.waiting.time, Vec::new());
    for path in &args.folders {
        let mut folder = setting::open(path)?;
        let id = folder.maildir().root().id()?;
        if ids.contains(&id) {
            continue; // named twice
        }
        let report = prepare(&mut folder, args.dry_run, wait, &mut waiting::tell(path, out), &mut build::until_asked)?;
        if let Some(report) = report {
            build::problems(&report, path, out);
        }
        ids.push(id);
        folders.push(folder);
        paths.push(path.clone());
    }
    if let Some(trash) = &args.trash {
        check_trash(trash, args.create, &ids)?;
    }
    let by = match args.by {
        Same::Content => By::Content,
        Same::MessageId => By::MessageId,
    };
    let mut groups = find(&mut folders, by, &mut build::until_asked, &mut |error| out.failed(&error))?;
    let mut bad = Vec::new();
    if !args.dry_run && !groups.is_empty() {
        unite(&mut folders, &mut groups, wait, &mut |_| signals::resume(), &mut build::until_asked, &mut |error| {
            bad.push(error);
        })?;
    }
    out.failed_all(&bad);
    let keepers = Keepers::of(&mut folders, &groups, by)?;
    for at in 0..folders.len() {
        let uids: Vec<String> = keepers.going(at).iter().map(ToString::to_string).collect();
        if uids.is_empty() || signals::asked() {
            continue;
        }
        let wanted = MessageRef::parse(&OsString::from(uids.join(",")))?;
        let gone = take_away(args, (&paths[at], at), &mut folders[at], &keepers, Whose::Named(wanted), out)?;
        for (uid, path) in gone {
            let Some(stays) = keepers.kept(Place { folder: at, uid }) else { continue };
            let stays = (stays.uid, &paths[stays.folder]);
            if args.json {
                json::doubled(out.stdout(), (&paths[at], uid, &path), stays)?;
                continue;
            }
            let people = out.is_for_people();
            let stdout = out.stdout();
            write!(stdout, "{uid}\t")?;
            text::bytes(stdout, path.as_os_str().as_bytes(), people)?;
            write!(stdout, "\t{}\t", stays.0)?;
            text::bytes(stdout, stays.1.as_os_str().as_bytes(), people)?;
            stdout.write_all(b"\n")?;
        }
    }
    Ok(Exit::Done)
}

/// What is wrong with the folder of --trash is told before anything is done.
fn check_trash(trash: &Path, create: bool, ids: &[FileId]) -> Result<(), Error> {
    match Dir::open(trash) {
        Ok(dir) if ids.contains(&dir.id()?) => Err(Error::SameFolder { path: trash.to_path_buf() }),
        Err(error) if !(create && error.errno() == Some(Errno::NOENT)) => Err(error),
        _ => Ok(()),
    }
}

/// Removes messages of a folder, or moves them away. Returns those that have gone, and where they were, or are now.
fn take_away(
    args: &Args,
    (path, at): (&Path, usize),
    folder: &mut Folder,
    keepers: &Keepers,
    whose: Whose,
    out: &mut Output,
) -> anyhow::Result<Vec<(Uid, PathBuf)>> {
    if let Some(trash) = &args.trash {
        let to = To { path: trash, create: args.create, dry_run: args.dry_run, json: args.json };
        let (dest, done) = relocate::moved(path, &to, Kind::Move, vec![whose], args.waiting.time, out)?;
        out.failed_all(&done.failed);
        let gone =
            done.messages.iter().map(|mail| (mail.was_uid, dest.maildir().path_of(mail.sub, &mail.name))).collect();
        return done.stopped.map_or(Ok(gone), |error| Err(Error::into(error)));
    }
    let changes = [(FlagChange::default(), whose)];
    let plan = Plan { changes: &changes, dry_run: args.dry_run, wait: args.waiting.time };
    let done = remove(folder, at, keepers, &plan, &mut waiting::tell(path, out), &mut build::until_asked)?;
    placed::warn_of_quota(folder.maildir(), out);
    out.failed_all(&done.failed);
    let gone = done.messages.iter().map(|mail| (mail.uid, folder.maildir().path_of(mail.sub, &mail.name))).collect();
    done.stopped.map_or(Ok(gone), |error| Err(Error::into(error)))
}
