use std::path::PathBuf;
use std::time::Duration;

use maildex::lock::Wait;
use maildex::ops::sync::{self, Outcome, Plan, Step};
use maildex::sync::join::Numbering;
use maildex::sync::scan::{Held, Manner};

use super::folder_path;
use crate::cli::build::{self, Bar, until_asked};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::waiting::{Waiting, parse_wait, tell_once};
use crate::cli::{json, setting, shell, text};

const EXAMPLES: &str = "\
Examples:
  Tell the others what happened here, and do what they say:
    maildex sync run ~/Maildir
  A back-up that takes everything and tells nothing:
    maildex sync run ~/Maildir --pull-only
  From cron, without a word if all is well:
    maildex sync run ~/Maildir --quiet --wait 5
  What came, for a script:
    maildex sync run ~/Maildir --json";

/// Exchange with the others what happened, once
///
/// Fetches what they have told, takes up what happened here since the last run, joins both, does in the folders what came of
/// it, and tells the others. Nothing is asked: a flag that was set anywhere is set, mail that was removed is removed unless
/// somebody flagged it meanwhile, and mail that was moved to two folders is in both. Mail keeps its time of delivery, and is new
/// on every machine until a mail reader has seen on one of them that it came. Each number that had to die is told.
///
/// Mail that others have removed is kept for 30 days, see sync undelete. Where more than 20 mails and more than half of a
/// folder are to go at once nothing goes without --accept-removals; the exit status is 4 then.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail root: a Maildir, or a directory above several
    #[arg(value_name = "ROOT")]
    pub folder: PathBuf,
    /// Do what the others say, and tell them nothing
    #[arg(long)]
    pull_only: bool,
    /// Believe it when most of the mail of a folder is gone at once, here or elsewhere
    #[arg(long)]
    accept_removals: bool,
    /// Neither tell nor take UIDs: each machine has its own
    #[arg(long)]
    no_uids: bool,
    /// What mail is that has another name elsewhere, and the same contents, where two mail roots meet for the first time
    #[arg(long, value_name = "WHAT")]
    same_content: Option<SameContent>,
    /// How long a peer may be silent before it is given up: 30, 2m, 1h, forever
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_wait)]
    timeout: Wait,
    /// Print what was done as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    waiting: Waiting,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum SameContent {
    /// One mail: the smaller name wins, flags are united
    Join,
    /// Two mails
    Keep,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let replica = super::open(&args.folder)?;
    let plan = Plan {
        manner: Manner {
            setting: setting::get(),
            wait: args.waiting.time,
            accept_removals: args.accept_removals,
            numbering: if args.no_uids { Numbering::Lazy } else { Numbering::Eager },
        },
        pull_only: args.pull_only,
        same_content: args.same_content.map(|what| match what {
            SameContent::Join => maildex::sync::SameContent::Join,
            SameContent::Keep => maildex::sync::SameContent::Keep,
        }),
        patience: patience(args.timeout),
    };
    let mut bar = Bar::new(out.shows_progress());
    let mut was_told = false;
    let done = sync::run(
        &replica,
        &plan,
        &mut |step| match step {
            Step::Waits(path, owner) => tell_once(path, owner, &mut was_told, out),
            Step::Git(_) => {}
        },
        &mut |progress| {
            bar.show(progress);
            until_asked(progress)
        },
    );
    bar.clear();
    let outcome = done?;
    tell(args, &outcome, out);
    if args.json {
        json::synced(out.stdout(), &args.folder, &outcome)?;
    } else if out.width().is_some() {
        out.line(summary(&outcome))?;
    }
    let is_clean = outcome.held.is_empty() && !outcome.unfinished;
    Ok(if is_clean { Exit::Done } else { Exit::Some })
}

/// How long git may be silent.
pub(super) fn patience(timeout: Wait) -> Duration {
    match timeout {
        Wait::For(time) => time,
        Wait::Forever => Duration::MAX,
    }
}

fn tell(args: &Args, outcome: &Outcome, out: &mut Output) {
    for (path, report) in &outcome.reports {
        build::problems(report, path, out);
    }
    if let Some((why, id)) = outcome.renewed {
        let root = args.folder.display();
        out.note(format_args!("{root}: goes on as a new replica, {id}: {why}"));
        out.note_hint(Some("no UID is given out twice, and mail that is missing here comes again".into()));
    }
    for (path, why) in &outcome.stays {
        out.note(format_args!("{}: stays here: {why}", path.display()));
    }
    for lost in &outcome.burnt {
        let (path, base) = (folder_path(&args.folder, &lost.folder), String::from_utf8_lossy(&lost.base));
        let (old, new, why) = (lost.old, lost.new, lost.why);
        out.note(format_args!("{}: UID {old} is dead: {why}; {base} is UID {new} now", path.display()));
    }
    for (path, old, new) in &outcome.other_validity {
        let path = path.display();
        out.note(format_args!("{path}: UIDVALIDITY was {old} and is {new}: mail programs fetch everything anew"));
    }
    for Held { folder, gone, of, here } in &outcome.held {
        let (path, whose) = (folder.display(), if *here { "here" } else { "elsewhere" });
        out.problem(format_args!("{path}: {gone} of {of} messages are gone {whose} at once; that is held back"));
        let (hint, root) = (if *here { "is everything mounted? " } else { "" }, shell::quoted(args.folder.as_os_str()));
        out.hint(format_args!("{hint}if the mail is meant to be gone: maildex sync run {root} --accept-removals"));
    }
    out.failed_all(&outcome.failed);
    if outcome.unfinished {
        out.problem(format_args!("{}: others are at work there all the time; run it again", args.folder.display()));
    }
}

/// One line: what was told, and what was done.
fn summary(outcome: &Outcome) -> String {
    let counts = [
        (outcome.sent, "sent"),
        (outcome.sent_flags, "with flags changed here"),
        (outcome.sent_moved, "moved here"),
        (outcome.sent_removed, "removed here"),
        (outcome.received, "received"),
        (outcome.flags, "with flags from elsewhere"),
        (outcome.moved, "moved elsewhere"),
        (outcome.removed, "removed elsewhere"),
    ];
    let mut parts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if outcome.made + outcome.unmade > 0 {
        parts.push(format!("{} made, {} removed", text::count(outcome.made, "folder"), outcome.unmade));
    }
    if !outcome.burnt.is_empty() {
        parts.push(format!("{} renumbered", text::count(outcome.burnt.len(), "message")));
    }
    if parts.is_empty() { "nothing new".into() } else { parts.join(", ") }
}
