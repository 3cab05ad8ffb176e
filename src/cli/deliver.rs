use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use maildex::Error;
use maildex::dir::Dir;
use maildex::format::Uid;
use maildex::maildir::flags::Flags;
use maildex::ops::deliver::{Delivered, deliver, index};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ};

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::{fatal, placed, setting, signals};

/// As it is typed.
pub const VERB: &str = "deliver";

/// The lines are in docs/scripts.md, too, and a test runs them.
const EXAMPLES: &str = concat!(
    "For filters and mail servers:\n\n",
    include_str!("deliver_servers.txt"),
    "
Examples:
  A note to oneself:
    printf 'Subject: milk\\n\\nTwo bottles.\\n' | maildex deliver ~/Maildir
  A copy of what is sent, as read:
    printf 'To: ann@example.org\\n\\nHello.\\n' | maildex deliver ~/Maildir --flags S"
);

/// Deliver a mail from standard input
///
/// For mail servers and filters: .forward, procmail, maildrop, pipes. The mail is written to tmp/, synced, and linked into
/// new/ under a name that was never used; with --flags into cur/, as other delivery agents do it. A line "From SENDER DATE"
/// before the header is left out. Nothing at all is no mail, and refused.
///
/// The exit status is 0 when the mail is in its place and on disk, and 75 if it is not, whatever the reason, wrong options
/// and signals among them: a mail server tries again then, where it would return the mail for any other status.
///
/// The index comes second, and never makes a delivery wait or fail. If nobody else holds the lock the mail is in it at
/// once; else the next reader takes it up. An index that is not there is made if the folder has no more than 1000 mails.
/// Prints UID and path, separated by a tab, or - in the place of the UID.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Flags that the mail is to have: letters of DFPRST, or a to z for keywords
    #[arg(long, value_name = "LETTERS", default_value = "", hide_default_value = true, value_parser = parse_flags)]
    flags: Flags,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

fn parse_flags(letters: &str) -> Result<Flags, String> {
    let wanted =
        |letter: u8| Flags::letter(letter).filter(|_| letter.is_ascii_lowercase() || b"DFPRST".contains(&letter));
    letters
        .bytes()
        .try_fold(Flags::NONE, |flags, letter| wanted(letter).map(|flag| flags.union(flag)))
        .ok_or_else(|| "expected letters of DFPRST, or a to z".into())
}

/// What a mail server may see: that all is well, or that it is to try again. A panic is no reason to lose a mail either.
pub fn with_one_failure(run: impl FnOnce() -> Exit) -> Exit {
    fatal::end_with(Exit::Busy);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Exit::Done) => Exit::Done,
        Ok(_) | Err(_) => Exit::Busy,
    }
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut stdin = Interruptible::new()?;
    let mail = deliver(Dir::open(&args.folder)?, &mut stdin, args.flags)?;
    // From here on it is safe, and nothing else matters: not even what should not happen.
    fatal::end_with(Exit::Done);
    let told = catch_unwind(AssertUnwindSafe(|| tell(args, &mail, &mut stdin, out)));
    if told.is_err() {
        out.note(format_args!("{}: it is delivered", mail.maildir.path_of(mail.sub, &mail.name).display()));
    }
    Ok(Exit::Done)
}

/// Takes the mail into the index, and says where it is.
fn tell(args: &Args, mail: &Delivered, stdin: &mut Interruptible, out: &mut Output) {
    let go_on = |_| if stdin.asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let (uid, uid_validity) = match enter(args, mail, &mut { go_on }) {
        Ok(entered) => entered,
        Err(error) => {
            out.note(&error);
            out.note_hint(error.hint());
            let path = mail.maildir.path_of(mail.sub, &mail.name);
            out.note(format_args!("{}: delivered, but not in the index yet", path.display()));
            (None, None)
        }
    };
    placed::warn_of_quota(&mail.maildir, out);
    let is_terminal = out.is_for_people();
    let placed =
        placed::Placed { folder: &args.folder, maildir: &mail.maildir, uid_validity, event: "added", is_terminal };
    let mut result = Vec::new();
    let written = placed.print(&mut result, (uid, mail.sub, &mail.name), None, args.json);
    if let Err(error) = written.and_then(|()| out.write_now(&result)) {
        out.note(format_args!("standard output: cannot write: {error}; the mail is delivered"));
    }
}

type Entered = (Option<Uid>, Option<u32>);

fn enter(
    args: &Args,
    mail: &Delivered,
    go_on: &mut dyn FnMut(maildex::ops::build::Progress) -> ControlFlow<()>,
) -> Result<Entered, Error> {
    let mut folder = setting::open(&args.folder)?;
    let uid = index(&mut folder, mail, go_on)?;
    Ok((uid, Some(folder.index()?.identity().uid_validity)))
}

/// Standard input, until somebody wants us to end. A mail server may take a program that a signal has ended for one that
/// has failed for good; so each signal that would end it is an error of reading here, and later nothing at all.
struct Interruptible {
    stdin: io::Stdin,
    signals: Vec<(i32, UnixStream)>,
}

impl Interruptible {
    fn new() -> io::Result<Interruptible> {
        let signals =
            signals::listen(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ])?;
        Ok(Interruptible { stdin: io::stdin(), signals })
    }

    /// The signal that has come.
    fn asked(&self) -> Option<i32> {
        let mut polled: Vec<_> = self.signals.iter().map(|(_, s)| PollFd::new(s, PollFlags::IN)).collect();
        let _ = poll(&mut polled, Some(&rustix::time::Timespec::default()));
        let came = polled.iter().position(|polled| !polled.revents().is_empty())?;
        Some(self.signals[came].0)
    }
}

impl Read for Interruptible {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut polled: Vec<_> = self.signals.iter().map(|(_, s)| PollFd::new(s, PollFlags::IN)).collect();
        polled.push(PollFd::new(&self.stdin, PollFlags::IN));
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if let Some(signal) = self.asked() {
            return Err(io::Error::other(format!("signal {signal} came")));
        }
        Ok(rustix::io::read(self.stdin.as_fd(), buffer)?)
    }
}
