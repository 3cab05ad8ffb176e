use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use maildex::Error;
use maildex::ops::build::{Options, Progress, Report, build};

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::tree::Recursive;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{json, setting, signals, terminal, text};

/// Work shorter than this needs no progress bar.
const BAR_AFTER: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "\
Examples:
  Make the index of a folder, or bring it up to date:
    maildex build ~/Maildir
  From cron, without a word if all is well, and soon given up while another program writes:
    maildex build ~/Maildir --quiet --wait 5
  After a disk was repaired: look at everything again, and mend what can be mended:
    maildex build ~/Maildir --full
  All folders below a directory:
    maildex build -r ~/Maildir";

/// Make the index of a folder, or bring it up to date
///
/// Takes up what other programs did: mail that came, went, moved or got other flags. A directory that has not changed
/// is not even listed. What was read is kept if the build is stopped.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder: a directory with cur, new and tmp
    pub folder: PathBuf,
    /// List both directories, even if they seem unchanged
    #[arg(long)]
    full: bool,
    /// Believe it when most of the mail is gone at once
    #[arg(long)]
    accept_removals: bool,
    #[command(flatten)]
    recursive: Recursive,
    #[command(flatten)]
    waiting: Waiting,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    args.recursive.each(&args.folder, out, |path, out| build_one(args, path, out))
}

fn build_one(args: &Args, path: &Path, out: &mut Output) -> anyhow::Result<Exit> {
    let folder = setting::open(path)?;
    let tells = args.json || out.width().is_some();
    let options =
        Options { full: args.full, accept_removals: args.accept_removals, heal: true, uncounted: !tells && !args.full };
    let mut bar = Bar::new(out.shows_progress());
    let done = build(&folder, options, args.waiting.time, &mut waiting::tell(path, out), &mut |progress| {
        bar.show(progress);
        until_asked(progress)
    });
    bar.clear();
    let report = done?;
    problems(&report, path, out);
    if args.json {
        json::report(out.stdout(), path, &report)?;
    } else if out.width().is_some() {
        if args.recursive.recursive {
            write!(out.stdout(), "{}: ", terminal::escaped(&path.to_string_lossy()))?;
        }
        out.line(summary(&report))?;
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Some })
}

/// Goes on until a signal comes.
pub fn until_asked(_: Progress) -> ControlFlow<()> {
    signals::defer();
    if signals::asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// A progress bar that comes when the work takes long enough to wonder about.
pub struct Bar {
    drawn: ProgressBar,
    since: Instant,
    visible: bool,
}

impl Bar {
    pub fn new(visible: bool) -> Bar {
        Bar { drawn: ProgressBar::hidden(), since: Instant::now(), visible }
    }

    pub fn show(&mut self, progress: Progress) {
        if self.visible && self.drawn.is_hidden() && self.since.elapsed() > BAR_AFTER {
            let style = ProgressStyle::with_template("{bar:32} {pos}/{len} messages, {rate}, {eta} left")
                .expect("the template is right")
                .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = write!(out, "{:.0}/s", state.per_sec()); // a bar that cannot be drawn is no loss
                });
            self.drawn = ProgressBar::new(0).with_style(style);
        }
        if !self.drawn.is_hidden() {
            self.drawn.set_length(progress.total as u64);
            self.drawn.set_position(progress.done as u64);
        }
    }

    /// Takes it away; the next one comes in its own time.
    pub fn clear(&mut self) {
        self.drawn.finish_and_clear();
        *self = Bar::new(self.visible);
    }
}

/// Something to be said on stderr.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Note(String),
    Problem(String),
    Hint(String),
}

impl Said {
    pub fn say(&self, out: &mut Output) {
        match self {
            Said::Note(text) => out.note(text),
            Said::Problem(text) => out.problem(text),
            Said::Hint(text) => out.hint(text),
        }
    }
}

/// Tells what could not be dealt with.
pub fn problems(report: &Report, folder: &Path, out: &mut Output) {
    for said in said(report, folder) {
        said.say(out);
    }
}

/// What there is to say of a refresh.
pub fn said(report: &Report, path: &Path) -> Vec<Said> {
    let folder = path.display();
    let mut said = Vec::new();
    if let Some(why) = &report.rebuilt {
        let uids = match report.uids_lost {
            0 if report.uids_unsure => "; mail whose number stood only in what is damaged got a new UID",
            0 => ", with the same UIDs",
            _ => "",
        };
        said.push(Said::Note(format!("{folder}: the index was made again{uids}, because of this: {why}")));
        if report.uids_lost > 0 {
            let lost = text::count(report.uids_lost, "message");
            let why = "nothing proved that the mail is still the same";
            said.push(Said::Problem(format!("{folder}: {lost} got a new UID: {why}")));
        }
    }
    if report.copied {
        let kept = "UIDs stay with the mail that can be proved to be the same, some numbers are skipped";
        let why = format!("{folder}: the index was copied here, from another folder or from a back-up");
        said.push(Said::Note(format!("{why}; {kept}, and tokens from before cannot be used")));
    }
    for (path, error) in &report.unreadable {
        said.push(Said::Problem(format!("{}: cannot read: {error}", path.display())));
    }
    if report.unnumbered > 0 {
        let path = path.to_path_buf();
        let (error, mails) = (Error::UidsExhausted { path }, text::count(report.unnumbered, "mail"));
        said.push(Said::Problem(format!("{error}; {mails} not indexed")));
        said.extend(error.hint().map(Said::Hint));
    }
    for (first, second) in &report.twins {
        let (first, second) = (first.display(), second.display());
        said.push(Said::Problem(format!("{second}: not indexed: it has the base name of {first}")));
    }
    if let Some((gone, of)) = report.guarded {
        said.push(Said::Problem(format!(
            "{folder}: {gone} of {of} messages are gone at once and their directory is another one; they are kept in the index"
        )));
        said.push(Said::Hint(format!(
            "is everything mounted? if the mail is meant to be gone: maildex build {folder} --accept-removals"
        )));
    }
    for (path, what) in &report.odd {
        said.push(Said::Note(format!("{}: left alone: {what}", path.display())));
    }
    if report.interrupted {
        said.push(Said::Note(format!("{folder}: stopped; the next build goes on from here")));
    }
    said
}

/// One line: what is there, and what changed.
pub fn summary(report: &Report) -> String {
    let mut parts = vec![text::count(report.total, "message")];
    let changes = [
        (report.added, "added"),
        (report.removed, "removed"),
        (report.flags, "with new flags"),
        (report.moved, "moved to cur"),
        (report.renamed, "renamed"),
        (report.replaced, "replaced"),
        (report.healed, "now readable"),
        (report.unreadable.len(), "unreadable"),
        (report.empty, "empty"),
        (report.headless, "without a header"),
    ];
    parts.extend(changes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    if parts.len() == 1 {
        parts.push("nothing new".into());
    }
    parts.join(", ")
}
