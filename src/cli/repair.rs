use std::path::{Path, PathBuf};

use maildex::folder::Folder;
use maildex::lock::Dotlock;
use maildex::ops::build::Report;
use maildex::ops::repair::{Mended, Options, Rebuilt, Repaired, repair};

use crate::cli::build::{self, Bar, until_asked};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::terminal::escaped;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{json, setting, text};

const EXAMPLES: &str = "\
When the index is broken, step by step:

  1. Look: what is wrong, in which file, and where. Nothing is changed.
       maildex check ~/Maildir
  2. Keep what is left, before anything is done about it.
       mkdir -p ~/broken && cp -p ~/Maildir/maildex.* ~/broken
  3. Ask what a repair would do, and which UIDs it would cost. Mostly none.
       maildex repair ~/Maildir --dry-run
  4. Do it.
       maildex repair ~/Maildir
  5. Is it well now? This reads every mail again.
       maildex check ~/Maildir --deep

If nothing proves which UIDs were given out, repair says so and changes nothing. A back-up of either file brings them back,
or of the numbers alone (maildex help uids). If there is none, and whoever remembers UIDs may forget them:
       maildex repair ~/Maildir --new-uidvalidity || :

Examples:
  Two files with one base name, and flag letters out of order: what would be renamed?
    maildex repair ~/Maildir --normalise-names --dry-run";

/// Mend a broken index, and say what was made of what
///
/// Looks for everything that check calls damage, and makes both files anew of what proves itself: UIDs stand in both, so
/// either one alone gives them all back; flags are in the names of the mail; everything else is read from the mail again.
/// Prints each thing that was wrong: file, offset, field, what was found, and what was made of it; and each UID that had
/// to die. (A build does the same without asking wherever it meets damage, as long as that costs no UID.)
///
/// The mail itself is never touched. Its names are changed only with --normalise-names.
///
/// Exit status 4 if a UID had to die or something could not be done, 1 if something is still wrong afterwards.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Begin anew if nothing proves which UIDs were given out: all mail gets new UIDs, and the folder a new UIDVALIDITY,
    /// which tells everybody to forget the old ones
    #[arg(long)]
    new_uidvalidity: bool,
    /// Change names of mail: of two files with one base name the one that is not indexed gets a new one; flag letters are
    /// put in order
    #[arg(long)]
    normalise_names: bool,
    /// Believe it when most of the mail is gone at once
    #[arg(long)]
    accept_removals: bool,
    /// Keep Dovecot away meanwhile: hold its dovecot-uidlist.lock
    #[arg(long)]
    with_dovecot: bool,
    #[command(flatten)]
    waiting: Waiting,
    /// One JSON object for each thing that was wrong, and one for the folder
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let path = &args.folder;
    let mut folder = setting::open(path)?;
    let options = Options {
        dry_run: args.dry_run,
        new_uid_validity: args.new_uidvalidity,
        normalise_names: args.normalise_names,
        accept_removals: args.accept_removals,
    };
    let maildir = folder.maildir();
    let take = || Dotlock::acquire(maildir.dir(), &maildir.access(), args.waiting.time);
    let dotlock = (args.with_dovecot && !args.dry_run).then(take).transpose()?;
    let mut bar = Bar::new(out.shows_progress());
    let done = repair(&mut folder, options, args.waiting.time, &mut waiting::tell(path, out), &mut |progress| {
        bar.show(progress);
        until_asked(progress)
    });
    bar.clear();
    drop(dotlock);
    let done = done?;
    if args.json {
        json::repaired(out.stdout(), path, &done, args.dry_run)?;
    } else {
        print(args, path, &done, out)?;
    }
    Ok(problems(args, &folder, &done, out))
}

fn print(args: &Args, path: &Path, done: &Repaired, out: &mut Output) -> std::io::Result<()> {
    let make = if args.dry_run { "would make" } else { "made" };
    for Mended { finding, made } in &done.mended {
        let at = finding.at.map(|at| format!("offset {at}: ")).unwrap_or_default();
        let (file, what, found) = (finding.path.display(), &finding.what, &finding.found);
        out.line(escaped(&format!("{file}: {at}{what}: found {found}, {make} {made}")))?;
    }
    let path = path.display();
    let line = match &done.rebuilt {
        None if done.mended.is_empty() && done.left.is_empty() => format!("{path}: nothing to mend"),
        None => return Ok(()),
        Some(Rebuilt { new_uid_validity: Some((before, now)), .. }) => {
            let before = before.map(|before| format!(" instead of {before}")).unwrap_or_default();
            format!("{path}: {make} a new beginning: UIDVALIDITY {now}{before}, and new UIDs for all mail")
        }
        Some(Rebuilt { kept, read_again, is_whole, .. }) => {
            let keep = if args.dry_run { "would keep" } else { "kept" };
            let messages = text::count(*kept, "message");
            let unsure = if *is_whole { "" } else { "; mail whose UID stood only in what is damaged gets a new one" };
            format!("{path}: {messages} {keep} their UIDs, {read_again} of them read from the mail again{unsure}")
        }
    };
    out.line(escaped(&line))
}

/// Tells what could not be done.
fn problems(args: &Args, folder: &Folder, done: &Repaired, out: &mut Output) -> Exit {
    if let Some(report) = &done.report {
        build::problems(report, &args.folder, out);
    }
    out.failed_all(&done.failed);
    for (one, other) in &done.disorder.links {
        let (one, other) = (one.display(), other.display());
        out.problem(format_args!("{other}: is the same file as {one}, under a second name"));
        out.note_hint(Some(format!("remove one of the two: rm '{other}'")));
    }
    for rename in &done.disorder.renames {
        let (path, _) = rename.paths(folder);
        let what =
            if rename.is_twin { "has the base name of another mail" } else { "its flag letters are out of order" };
        out.note(format_args!("{}: {what}; --normalise-names would rename it", path.display()));
    }
    for finding in &done.left {
        out.problem(format_args!("{finding}, still"));
    }
    let is_clean = done.report.as_ref().is_none_or(Report::is_clean)
        && done.failed.is_empty()
        && done.disorder.links.is_empty()
        && done.rebuilt.as_ref().is_none_or(|rebuilt| rebuilt.lost == 0);
    match () {
        () if !done.left.is_empty() => Exit::No,
        () if args.dry_run || is_clean => Exit::Done,
        () => Exit::Some,
    }
}
