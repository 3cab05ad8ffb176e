use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use maildex::index::compact::Dead;
use maildex::lock::Wait;
use maildex::ops::compact::{Done, Options, compact};

use crate::cli::build::{Bar, until_asked};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::tree::Recursive;
use crate::cli::waiting::{self, parse_wait};
use crate::cli::{json, setting, terminal, text};

/// The lines are in docs/scripts.md, too, and a test runs them.
const EXAMPLES: &str = concat!(
    "Every night, by cron or by systemd:\n\n",
    include_str!("compact_nightly.txt"),
    "
Examples:
  Now:
    maildex compact ~/Maildir
  Only where a third is dead, in all folders:
    maildex compact ~/Maildir -r --if-dead 33
  Do not wait for a watcher that hangs; it finds the new files when it wakes up:
    maildex compact ~/Maildir --wait 1 --force"
);

/// Rewrite the index without its dead entries
///
/// Every expunged message, every rename by a sync program and every killed writer leaves bytes in the index that nobody
/// needs. This writes both files anew, beside the old ones, and puts them in place; UIDs and UIDVALIDITY stay. Who keeps
/// the folder open, such as a watcher, is asked to close it for a moment. Readers notice nothing.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Do nothing unless this share of the index is dead
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    if_dead: u8,
    /// How long to wait for the lock, and how long for others to close: 0, 0.5, 2m, forever
    ///
    /// If not given, 30 seconds and 10 seconds. When the time is up those who are waited for are named.
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    wait: Option<Wait>,
    /// Go on even if others have not closed: they find the new files by themselves
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    recursive: Recursive,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    args.recursive.each(&args.folder, out, |path, out| compact_one(args, path, out))
}

fn compact_one(args: &Args, path: &Path, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = setting::open(path)?;
    let options = Options { if_dead: args.if_dead, wait: args.wait, force: args.force };
    let mut bar = Bar::new(out.shows_progress());
    let done = compact(&folder, options, &mut waiting::tell(path, out), &mut |progress| {
        bar.show(progress);
        until_asked(progress)
    });
    bar.clear();
    let done = done?;
    if let Done::Compacted { still_open, .. } = &done {
        for who in still_open {
            out.note(format_args!("{}: kept open by {who}; it will find the new files", path.display()));
        }
    }
    if args.json {
        json::compacted(out.stdout(), path, &done)?;
    } else if out.width().is_some() {
        if args.recursive.recursive {
            write!(out.stdout(), "{}: ", terminal::escaped(&path.to_string_lossy()))?;
        }
        out.line(summary(&done))?;
    }
    Ok(Exit::Done)
}

fn summary(done: &Done) -> String {
    match done {
        Done::Compacted { compacted, .. } => format!(
            "{} kept, {} dropped, {} instead of {}",
            text::count(compacted.kept, "message"),
            compacted.dropped,
            HumanBytes(compacted.bytes_after),
            HumanBytes(compacted.bytes_before)
        ),
        Done::NotWorthIt(Dead { messages, of, percent, .. }) => {
            format!("nothing done: {percent} % is dead, {messages} of {}", text::count(*of, "message"))
        }
        Done::CalledOff => "called off; the index is as it was".into(),
    }
}
