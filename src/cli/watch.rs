use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use maildex::Error;
use maildex::folder::Folder;
use maildex::lock::Wait;
use maildex::ops::build::{Progress, Report};
use maildex::ops::changes::{Event, Token, changes};
use maildex::watch::{Listener, Ringer, Trouble, Watcher};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::cli::build::{self, Said};
use crate::cli::changes::Events;
use crate::cli::exit::Exit;
use crate::cli::json::{Records, cannot_write};
use crate::cli::output::Output;
use crate::cli::setting;
use crate::cli::signals;
use crate::cli::syncing::Syncing;
use crate::cli::tree::Recursive;
use crate::cli::waiting::parse_wait;

const EXAMPLES: &str = "\
Examples:
  Wait until something happens, but not for ever:
    timeout 1 maildex watch ~/Maildir --once || echo quiet
  What there is, and then what happens, for a while:
    timeout 1 maildex watch ~/Maildir --since 0 --json || :
  A command for each event:
    maildex watch ~/Maildir --since 0 --once --exec 'echo $MAILDEX_EVENT $MAILDEX_UID'";

const EXEC: &str = "\
Run this with sh for each event, before it is printed, with MAILDEX_EVENT, MAILDEX_FOLDER, MAILDEX_UID, MAILDEX_WAS_UID, \
MAILDEX_DIR, MAILDEX_FLAGS, MAILDEX_PATH and MAILDEX_TOKEN in its environment. What it prints goes to standard error";

/// Keep indexes up to date, and print what happens to the mail
///
/// Prints one line for each event, at once: the columns are those of changes (event, UID, UID before, directory, flags,
/// path, token), and the folder. A token says: up to this event; with --since, watch and changes go on from there, so
/// nothing is missed. Exit status 5 means that a token cannot be used, or that what changed is not known any more because
/// the index was made again: take a new token, and list the folder again.
///
/// Makes the index of a folder that has none. Ends on SIGINT, SIGTERM, or when nobody reads its output any more. While
/// nothing happens it does nothing, and it never has the lock for longer than a refresh takes.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folders
    #[arg(value_name = "FOLDER", required = true)]
    pub folders: Vec<PathBuf>,
    #[command(flatten)]
    recursive: Recursive,
    /// Begin with what changed since this token; of several folders each can have one. 0 for everything that there is
    #[arg(long, value_name = "TOKEN")]
    since: Vec<String>,
    /// End when something has happened and was printed
    #[arg(long)]
    once: bool,
    #[arg(long, value_name = "CMD", help = EXEC)]
    exec: Option<String>,
    /// Watch a mail root with all folders below, and run sync run whenever something happened, and now and then
    #[arg(long, conflicts_with = "once")]
    sync: bool,
    /// How often sync is to ask others if nothing happens here: 1, 30s, 5m
    #[arg(long, value_name = "TIME", default_value = "1m", requires = "sync", value_parser = parse_wait)]
    sync_every: Wait,
    /// One JSON object an event
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let none = || Error::Token { path: args.folders[0].clone(), why: "it is none" };
    let tokens = args.since.iter().map(|text| Token::parse(text).ok_or_else(none)).collect::<Result<_, _>>()?;
    let mut watcher = Watcher::new(&args.folders, args.recursive.recursive || args.sync, setting::get())?;
    end_with_output(watcher.ringer());
    let syncing = if args.sync { Some(syncing(args)?) } else { None };
    watcher.run(tokens, &mut Teller { args, out, said: HashMap::new(), told: false, syncing })?;
    Ok(Exit::Done)
}

fn syncing(args: &Args) -> anyhow::Result<Syncing> {
    let [root] = &args.folders[..] else {
        let (path, found) = (args.folders[0].clone(), "there is more than one mail root".into());
        return Err(Error::Sync {
            path,
            found,
            advice: "name one with --sync, and watch the others by themselves".into(),
        }
        .into());
    };
    super::sync::open(root)?;
    let every = match args.sync_every {
        Wait::For(time) => time.max(Duration::from_millis(200)),
        Wait::Forever => Duration::from_hours(24 * 365),
    };
    Ok(Syncing::start(root, every)?)
}

/// Ends the watching when the reader of stdout has gone, which otherwise would show only when something happens.
fn end_with_output(ringer: Ringer) {
    let Ok(stdout) = io::stdout().as_fd().try_clone_to_owned() else { return };
    let wait = move || {
        loop {
            match rustix::event::poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None) {
                Ok(_) => return ringer.end(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    };
    // Without the thread it ends with the next event.
    let _ = std::thread::Builder::new().name("maildex-output".into()).spawn(wait);
}

/// Prints what the watcher has to say.
struct Teller<'a> {
    args: &'a Args,
    out: &'a mut Output,
    /// What was said of each folder the last time.
    said: HashMap<PathBuf, Vec<Said>>,
    told: bool,
    /// Tells other machines.
    syncing: Option<Syncing>,
}

impl Listener for Teller<'_> {
    fn changes(&mut self, path: &Path, folder: &mut Folder, since: &Token) -> Result<Token, Error> {
        let records = Records::new(path, folder)?;
        let mut events = Events::new(records, self.args.json, self.out).of(path);
        let snapshot = folder.complete_index()?.snapshot()?;
        let mut bad = Vec::new();
        let mut tell = |event: &Event<'_>| {
            if let Some(command) = &self.args.exec {
                self.out.flush().map_err(cannot_write)?;
                execute(command, path, &mut events, event, self.out)?;
            }
            self.told = true;
            if let Some(syncing) = &self.syncing {
                syncing.ring();
            }
            events.print(self.out.stdout(), event)?;
            self.out.flush().map_err(cannot_write)
        };
        let now = changes(&snapshot, since, &mut tell, &mut |error| bad.push(error))?;
        self.out.failed_all(&bad);
        Ok(now)
    }

    fn report(&mut self, path: &Path, report: &Report) {
        let said = build::said(report, path);
        let before = self.said.remove(path).unwrap_or_default();
        said.iter().filter(|said| !before.contains(said)).for_each(|said| said.say(self.out));
        self.said.insert(path.to_path_buf(), said);
    }

    fn trouble(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Failed(error) => self.out.failed(error),
            trouble => {
                self.out.note(trouble);
                self.out.note_hint(trouble.hint());
            }
        }
    }

    fn at_work(&mut self) {
        signals::defer();
    }

    fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
        build::until_asked(progress)
    }

    fn at_rest(&mut self) {
        signals::resume();
    }

    fn is_done(&self) -> bool {
        self.args.once && self.told
    }
}

/// Runs the command for an event.
fn execute(
    command: &str,
    folder: &Path,
    events: &mut Events,
    event: &Event<'_>,
    out: &mut Output,
) -> Result<(), Error> {
    let place = events.place(event)?;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).stdin(Stdio::null());
    shell.env("MAILDEX_EVENT", event.kind.as_str()).env("MAILDEX_FOLDER", folder);
    shell.env("MAILDEX_UID", event.message.uid.to_string()).env("MAILDEX_TOKEN", event.token.to_string());
    shell.env("MAILDEX_WAS_UID", event.was_uid.map(|uid| uid.to_string()).unwrap_or_default());
    shell.env("MAILDEX_DIR", place.as_ref().map_or("", |(sub, _)| sub.as_str()));
    let flags = place.as_ref().map(|_| event.message.status.flags().to_string()).unwrap_or_default();
    shell.env("MAILDEX_FLAGS", flags).env("MAILDEX_PATH", place.map(|(_, path)| path).unwrap_or_default());
    let done = io::stderr().as_fd().try_clone_to_owned().and_then(|stderr| shell.stdout(stderr).status());
    match done {
        Ok(status) if status.success() => {}
        Ok(status) => out.problem(format_args!("UID {}: {command}: {status}", event.message.uid)),
        Err(source) => return Err(Error::Io { path: "sh".into(), doing: "cannot run", source }),
    }
    Ok(())
}
