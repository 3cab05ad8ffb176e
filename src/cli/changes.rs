use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::maildir::Sub;
use maildex::ops::changes::{Event, Token, changes};

use crate::cli::exit::Exit;
use crate::cli::json::{Records, cannot_write};
use crate::cli::output::Output;
use crate::cli::state::State;
use crate::cli::view::View;
use crate::cli::{reading, text};

/// The script is in docs/scripts.md, too, and a test runs it.
const EXAMPLES: &str = concat!(
    "A script that takes up new mail:\n\n",
    include_str!("changes_loop.sh"),
    "
Examples:
  What has happened since the last time, as often as you like:
    maildex changes ~/Maildir --state ~/.inbox.state
  The token of now, and what has happened since:
    token=$(maildex changes ~/Maildir); maildex changes ~/Maildir --since $token --json"
);

/// Print what changed since a token
///
/// A token stands for everything that was told up to some moment. Without --since and --state the one of now is printed,
/// to begin with: take it, list the folder, and then ask what changed since. Nothing is missed in between.
///
/// Each message that has changed is told once, as it is now: it was added, its flags changed, it moved (to the other
/// directory, or a sync program gave it another name; its flags may have changed, too), or it was removed.
///
/// In a pipe, separated by tabs: event (added, flags, moved, removed), UID, the UID that the mail had before if it got
/// another one, directory, flags, path, token; - stands for an empty field, and control characters are escaped. Each
/// token says: up to this event, and can be used to go on from there. The last line is the event `token`, for a token
/// after all of them; not with --state. Columns are only ever added at the end.
///
/// Exit status 5 means that the token is of another index, or too old: take a new token, and list the folder again.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Print what changed since this token; 0 for everything that there is
    #[arg(long, value_name = "TOKEN", conflicts_with = "state")]
    since: Option<String>,
    /// Keep the token in this file, and write the new one when everything has been printed. Where there is no such file
    /// yet, all messages are new
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// One JSON object an event
    #[arg(long)]
    json: bool,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let (state, since) = match (&args.state, &args.since) {
        (Some(path), _) => State::open(path).map(|(state, token)| (Some(state), Some(token)))?,
        (None, Some(text)) => (None, Some(parse(text, args)?)),
        (None, None) => (None, None),
    };
    let mut folder = reading::open(&args.folder, !args.no_refresh, out)?;
    let mut events = Events::new(Records::new(&args.folder, &mut folder)?, args.json, out);
    let snapshot = folder.complete_index()?.snapshot()?;
    let Some(since) = since else {
        let now = Token::of(&snapshot);
        if args.json {
            events.records.token(out.stdout(), &now)?;
        } else {
            out.line(now)?;
        }
        return Ok(Exit::Done);
    };
    let mut bad = Vec::new();
    let stdout = out.stdout();
    let now = changes(&snapshot, &since, &mut |event| events.print(stdout, event), &mut |error| bad.push(error))?;
    match state {
        // Only what has been handed on counts as told.
        Some(state) => {
            out.flush()?;
            state.keep(&now)?;
        }
        None => events.end(out.stdout(), &now)?,
    }
    out.failed_all(&bad);
    Ok(Exit::Done)
}

fn parse(text: &str, args: &Args) -> Result<Token, Error> {
    Token::parse(text).ok_or_else(|| Error::Token { path: args.folder.clone(), why: "it is none" })
}

/// Prints events.
pub struct Events {
    records: Records,
    style: Style,
    /// For a column of its own, where there may be several.
    folder: Option<PathBuf>,
}

enum Style {
    Json,
    Tabs,
    Columns(View),
}

impl Events {
    /// In columns where they are for people.
    pub fn new(records: Records, json: bool, out: &Output) -> Events {
        let style = match out.width() {
            _ if json => Style::Json,
            Some(width) => Style::Columns(View::new(width, None, out.has_colour()).narrower(8)),
            None => Style::Tabs,
        };
        Events { records, style, folder: None }
    }

    /// With a column for the folder.
    pub fn of(self, folder: &Path) -> Events {
        Events { folder: Some(folder.to_path_buf()), ..self }
    }

    /// Directory and path of the message; `None` if it is gone.
    pub fn place(&mut self, event: &Event<'_>) -> Result<Option<(Sub, PathBuf)>, Error> {
        self.records.place(&event.message)
    }

    /// One line.
    pub fn print(&mut self, out: &mut impl Write, event: &Event<'_>) -> Result<(), Error> {
        let kind = event.kind.as_str();
        match &mut self.style {
            Style::Json => self.records.event(out, event),
            Style::Columns(view) => writeln!(out, "{kind:8}{}", view.line(&event.message, None)).map_err(cannot_write),
            Style::Tabs => {
                let place = self.place(event)?;
                let (sub, path) = place.map(|(sub, path)| (sub.as_str(), path)).unzip();
                let flags = if sub.is_some() { event.message.status.flags().to_string() } else { String::new() };
                let was_uid = event.was_uid.map(|uid| uid.to_string()).unwrap_or_default();
                let (uid, token) = (event.message.uid.to_string(), event.token.to_string());
                let (sub, path) = (sub.unwrap_or_default(), path.unwrap_or_default());
                let path = path.as_os_str().as_bytes();
                let fields = [kind, &uid, &was_uid, sub, &flags].map(str::as_bytes);
                let folder = self.folder.as_ref().map(|folder| folder.as_os_str().as_bytes());
                row(out, fields.into_iter().chain([path, token.as_bytes()]).chain(folder)).map_err(cannot_write)
            }
        }
    }

    /// The token after all events.
    fn end(&self, out: &mut impl Write, token: &Token) -> io::Result<()> {
        match self.style {
            Style::Json => self.records.token(out, token),
            Style::Columns(_) => writeln!(out, "token   {token}"),
            Style::Tabs => row(out, [&b"token"[..], b"", b"", b"", b"", b"", token.to_string().as_bytes()]),
        }
    }
}

fn row<'f>(out: &mut impl Write, fields: impl IntoIterator<Item = &'f [u8]>) -> io::Result<()> {
    for (n, field) in fields.into_iter().enumerate() {
        if n > 0 {
            out.write_all(b"\t")?;
        }
        text::bytes(out, field, false)?;
    }
    out.write_all(b"\n")
}
