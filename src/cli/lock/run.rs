use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use maildex::Error;
use maildex::lock::guard::Process;
use rustix::process::Signal;

use crate::cli::exit::Exit;
use crate::cli::lock::hold::{self, Hold};
use crate::cli::output::Output;
use crate::cli::{setting, signals, waiting};

const EXAMPLES: &str = "\
Examples:
  Copy the index while nobody writes to it, and wait ten minutes for that if need be:
    maildex lock run --wait 10m ~/Maildir -- sh -c 'cp -p ~/Maildir/maildex.[io]* /tmp'
  Count in peace, but stop when somebody else wants the folder:
    maildex lock run --on-request TERM ~/Maildir -- maildex count ~/Maildir
  Delete what has been trashed, beside Dovecot:
    maildex lock run --with-dovecot ~/Maildir -- find ~/Maildir/cur -name '*:2,*T*' -delete";

/// Run a command that holds the lock of a folder
///
/// The lock lasts as long as COMMAND does, even if this process is killed: COMMAND inherits it. All maildex verbs that it
/// starts work under the lock, one at a time: they find its id in `MAILDEX_LOCK`. On a folder whose lock is held for it
/// already, COMMAND is just run.
///
/// The exit status is that of COMMAND, or 128 + n if signal n ended it; 126 if it cannot be run, 127 if there is no such
/// command. SIGTERM and SIGHUP are passed on to COMMAND.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub hold: Hold,
    /// Exit status if the lock is not to be had. With 0 that is no error, and with --quiet nothing is said
    #[arg(short = 'E', long, value_name = "CODE", default_value_t = 75)]
    conflict_exit_code: u8,
    /// COMMAND does not inherit the lock: it then ends with this process
    #[arg(long)]
    close: bool,
    /// The command, and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    // The lowest descriptor that is free will be the lock's: the kernel lets go of a dead process's files in the reverse
    // order, so whatever else COMMAND holds (a flock of its own, for one) goes before the lock does.
    let mut low = OwnedFd::from(File::open("/dev/null")?);
    let folder = setting::open(&args.hold.folder)?;
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    if let Some(dir) = setting::index_dir() {
        command.env(setting::INDEX_DIR, dir);
    }
    if folder.given_lock()?.is_some() {
        out.flush()?;
        return Ok(cannot_run(args, command.exec(), out));
    }
    let taken = folder
        .lock(&args.hold.reason, args.hold.waiting.time, &mut waiting::tell(&args.hold.folder, out))
        .and_then(|lock| Ok((lock, args.hold.dotlock(&folder)?)));
    let (lock, dotlock) = match taken {
        Err(error @ (Error::Locked { .. } | Error::DovecotLock { .. })) => {
            if args.conflict_exit_code == 0 {
                out.note(&error); // who says so does not take it for a failure
            } else {
                out.error(&error, error.hint());
            }
            return Ok(Exit::Code(args.conflict_exit_code));
        }
        taken => taken?,
    };
    command.env(setting::LOCK_IDS, hold::lock_ids(setting::lock_ids(), &lock));
    if !args.close {
        lock.hand_down(&mut low)?;
    }
    let mut listened = signals::listen(&[Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT].map(Signal::as_raw))?;
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(cannot_run(args, error, out)),
    };
    drop(low);
    let process = Process::open(child.id() as i32)?;
    let mut pass_on = |signal| {
        // INT and QUIT come from the terminal, to COMMAND as well.
        if let Some(signal @ (Signal::TERM | Signal::HUP)) = Signal::from_named_raw(signal) {
            let _ = process.signal(signal);
        }
        true
    };
    args.hold.watch(&folder, &process, dotlock, &mut listened, &mut pass_on, out)?;
    let status = child.wait()?;
    let exit = Exit::Code(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255) as u8);
    match lock.release() {
        // What COMMAND did it did beside others.
        Err(error) if exit == Exit::Code(0) => Err(error.into()),
        _ => Ok(exit),
    }
}

fn cannot_run(args: &Args, source: io::Error, out: &mut Output) -> Exit {
    let exit = Exit::Code(if source.kind() == ErrorKind::NotFound { 127 } else { 126 });
    out.error(Error::Io { path: (&args.command[0]).into(), doing: "cannot run", source }, None);
    exit
}
