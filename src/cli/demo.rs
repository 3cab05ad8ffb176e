use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use maildex::Error;
use maildex::format::Uid;
use maildex::lock::Owner;
use maildex::maildir::flags::Flags;
use maildex::ops::build::Progress;
use maildex::ops::demo::{Guide, Step, demo};
use maildex::sample;

use crate::cli::build::{self, Bar};
use crate::cli::exit::Exit;
use crate::cli::json::cannot_write;
use crate::cli::output::Output;
use crate::cli::view::View;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{shell, signals, terminal, text};

/// Columns where there is no terminal.
const WIDTH: usize = 80;

const EXAMPLES: &str = "\
Examples:
  A folder to try things on, in ./maildex-demo:
    maildex demo
  A smaller one, elsewhere:
    maildex demo ~/few-mails --messages 300";

/// Make a folder of made-up mail, and show on it what maildex does
///
/// The mail is the same each time, and as motley as real mail: threads, flags, keywords, many charsets, and the file
/// names of several programs. Run again, it makes the folder as new. What it did not make is never touched: if anything
/// else is in the folder, nothing is changed, and the exit status is 3.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Where to make it
    #[arg(value_name = "DIR", default_value = "maildex-demo", value_hint = clap::ValueHint::DirPath)]
    pub dir: PathBuf,
    /// How many messages, up to a million
    #[arg(long, value_name = "N", default_value_t = 5000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(sample::MESSAGES_MAX)))]
    messages: u32,
    #[command(flatten)]
    waiting: Waiting,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut tour = Tour {
        dir: &args.dir,
        view: View::new(out.width().unwrap_or(WIDTH), None, out.has_colour()),
        told: false,
        bar: Bar::new(out.shows_progress()),
        out,
    };
    let uid = demo(&args.dir, args.messages, args.waiting.time, &mut tour)?;
    let program = shell::quoted(program().as_os_str());
    let dir = shell::directory(&args.dir);
    out.line("\nNow you. Each of these lines can be pasted into a shell:\n")?;
    for (what, command) in [
        ("What has not been read, by date:", format!("{program} list {dir} unseen --sort date --last 10")),
        ("What the index has of one message:", format!("{program} show {dir} {uid}")),
        ("The mail itself:", format!("{program} cat {dir} {uid} | head -n 20")),
        ("Mark it as read; what is printed is its new name:", format!("{program} flag {dir} +S {uid}")),
        ("The largest with a flag, for a script:", format!("{program} list {dir} flagged --sort size --last 1 --json")),
        ("Is the index sound?", format!("{program} check {dir}")),
        ("All that there is:", format!("{program} help")),
        ("Away with it:", format!("rm -r {dir}")),
    ] {
        out.line(format_args!("  {what}\n    {command}"))?;
    }
    Ok(Exit::Done)
}

/// This program, as a shell finds it from here.
fn program() -> PathBuf {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    // Without a slash it was found in PATH.
    let found = called.components().count() == 1 || called.is_file();
    if found { called } else { std::env::current_exe().unwrap_or(called) }
}

struct Tour<'t> {
    dir: &'t Path,
    out: &'t mut Output,
    view: View,
    bar: Bar,
    /// Whom we wait for has been said.
    told: bool,
}

impl Guide for Tour<'_> {
    fn set_flagged(&mut self, folder: &Path, uid: Uid) -> Result<(), Error> {
        let failed = |source| Error::Io { path: folder.to_path_buf(), doing: "cannot run maildex flag", source };
        let mut flag = Command::new(std::env::current_exe().map_err(failed)?);
        let folder = if folder.is_absolute() { folder.to_path_buf() } else { Path::new(".").join(folder) };
        // It will have to wait for the lock, which is part of the tour.
        flag.args(["--quiet", "flag"]).arg(folder).arg("+F").arg(uid.to_string()).stdout(Stdio::null());
        let status = flag.status().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(failed(std::io::Error::other(status.to_string()))) }
    }

    fn tell(&mut self, step: &Step<'_>) -> Result<(), Error> {
        self.bar.clear();
        // A signal that came during a build.
        signals::resume();
        self.say(step).and_then(|()| self.out.flush()).map_err(cannot_write)
    }

    fn waiting(&mut self, owner: Option<&Owner>) {
        self.bar.clear();
        waiting::tell_once(self.dir, owner, &mut self.told, self.out);
    }

    fn making(&mut self, progress: Progress) {
        self.bar.show(progress);
    }

    fn building(&mut self, progress: Progress) -> ControlFlow<()> {
        self.bar.show(progress);
        build::until_asked(progress)
    }
}

impl Tour<'_> {
    fn say(&mut self, step: &Step<'_>) -> std::io::Result<()> {
        let out = &mut *self.out;
        let report = match step {
            Step::Built(report, _) => Some(*report),
            Step::Repaired { done, .. } => done.report.as_ref(),
            _ => None,
        };
        if let Some(report) = report
            && !report.is_clean()
        {
            build::problems(report, self.dir, out);
        }
        match step {
            Step::Made(made, took) => {
                let messages = text::count(made.written + made.kept, "made-up message");
                let kept = if made.kept > 0 { format!(", {} of them from before", made.kept) } else { String::new() };
                let dir = self.dir.display().to_string();
                out.line(format_args!("{messages} in {}{kept} ({})", terminal::escaped(&dir), time(*took)))
            }
            Step::Built(report, took) => {
                out.line("\n1. The index is made: two files beside the mail, no server, no daemon.")?;
                out.line(format_args!("   {} ({})", build::summary(report), time(*took)))
            }
            Step::Counted { unseen, total, took } => {
                out.line("\n2. Whoever reads maps these files, takes no lock, and never waits.")?;
                out.line(format_args!(
                    "   {unseen} of {total} have not been read ({}), the newest of them:",
                    time(*took)
                ))
            }
            Step::Listed(message) => out.line(self.view.line(message, None)),
            Step::Flagged { uid, before, after, took } => {
                out.line("\n3. What one program sets, all others see at once.")?;
                let (before, after) = (letters(*before), letters(*after));
                out.line(format_args!("   Another process marked UID {uid} as flagged ({}).", time(*took)))?;
                out.line(format_args!(
                    "   A reader that had the index open saw {before} before and {after} after it,"
                ))?;
                out.line("   in the same memory: nothing was opened, read or asked again.")
            }
            Step::Asked { uid, at, of, took } => {
                out.line("\n4. One program writes at a time, and lets go when it is asked.")?;
                out.line("   A build that was slowed down had the lock when another process wanted it,")?;
                out.line(format_args!(
                    "   to mark UID {uid}: that took {}. The build let go at message {at}",
                    time(*took)
                ))?;
                out.line(format_args!("   of {of}, and went on from there afterwards."))
            }
            Step::Broken(finding) => {
                out.line("\n5. A UID, once shown, never means another mail.")?;
                out.line("   A byte of the index was changed, as a bad disk does. A check finds it:")?;
                let (at, what) = (finding.at.unwrap_or(0), terminal::escaped(&finding.what));
                out.line(format_args!("   offset {at}, {what}:"))?;
                out.line(format_args!("   found {}, expected {}.", finding.found, finding.expected))
            }
            Step::Repaired { done, same, of, took } => {
                let read = done.rebuilt.as_ref().map_or(0, |rebuilt| rebuilt.read_again);
                let read = text::count(read, "message");
                out.line(format_args!("   A repair read {read} again and wrote both files anew ({}).", time(*took)))?;
                out.line(format_args!("   {same} of {of} messages have the UID that they had."))
            }
        }
    }
}

fn letters(flags: Flags) -> String {
    let letters = flags.to_string();
    if letters.is_empty() { "no flag".into() } else { letters }
}

/// Three figures are enough.
fn time(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1000.0;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..1000.0 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1000.0),
    }
}
