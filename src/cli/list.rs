use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use maildex::ops::Message;
use maildex::ops::list::{InThread, Selection, list};
use maildex::ops::names::Names;
use maildex::ops::order::Sort;

use crate::cli::exit::Exit;
use crate::cli::json::{Records, cannot_write};
use crate::cli::output::Output;
use crate::cli::template::{Printer, Template};
use crate::cli::tree::Recursive;
use crate::cli::view::View;
use crate::cli::{query, reading, terminal, text};

const EXAMPLES: &str = "\
Examples:
  What has not been read, by date:
    maildex list ~/Maildir unseen --sort date
  Who answered whom, the five latest threads last:
    maildex list ~/Maildir --threads --last 5
  The ten newest, as JSON:
    maildex list ~/Maildir --last 10 --json
  A table of one's own:
    maildex list ~/Maildir --format '{date:%Y-%m-%d} {size:>9} {from:24} {subject}'
  UID and path, each record ended by a NUL:
    maildex list ~/Maildir flagged -0 --format '{uid}\\t{path}' | xargs -0 printf '%s\\n'
  The files of all flagged mail, whatever their names hold:
    maildex list ~/Maildir flagged --paths -0 | xargs -0r ls -l
  Is there anything new?
    maildex list ~/Maildir new --exit-code --limit 1 > /dev/null && echo yes
  The five largest, sender and size:
    maildex list ~/Maildir --sort size --reverse --limit 5 | cut -f 5,6
  All in colours, page by page:
    maildex --color always list ~/Maildir | ${PAGER:-cat}";

/// List messages, one a line
///
/// On a terminal: UID, flags (after + for what is in new/), date, sender, subject; what has not been read is bold, what is
/// flagged yellow, what is to be removed faint. Dates are in local time (TZ): 14:05 of today, Tue 09:12 of the last six
/// days, 12 Mar of the last eleven months, 2019-03 of others.
///
/// In a pipe: the same and more, separated by tabs, for scripts: UID, directory (new or cur), flags, date (RFC 3339, UTC),
/// size in bytes, sender, subject; - stands for an empty field, and control characters are escaped. Columns are only
/// ever added at the end. With -r or --threads the eighth is the folder, with --threads the ninth is the UID of the mail
/// that its thread began with, and the tenth how many of those that it answers are listed above it.
///
/// With -r the folders come one after the other, orders and limits count in each of them.
///
/// TEMPLATE is text with fields in braces: {uid} {flags} {subject}. The fields are those of JSON: `uid path base dir flags
/// keywords size date received date_epoch received_epoch subject from to cc message_id in_reply_to references change
/// truncated folder uidvalidity`; and with --threads `thread depth tree`, the last being the lines that are drawn. After a
/// colon stands how many columns a field gets: {subject:40} exactly 40, cut or filled up; {subject:.40} no more than 40,
/// {subject:20.40} from 20 to 40; < > ^ before that say at which side it stands. Numbers, times and flags are never
/// cut. {date:%Y-%m-%d %H:%M} is a time as date(1) has it, in local time; without that it is RFC 3339 in UTC. Braces
/// are written {{ and }}, and \t, \n, \0 and \\ are tab, newline, NUL and backslash. In the values of fields control
/// characters and backslashes are escaped, always; an empty field is empty.
///
/// Threads are those of the REFERENCES algorithm of RFC 5256 without its merging by subject, which IMAP servers call
/// REFS: only Message-ID, References and In-Reply-To count. They are made of the whole folder, whatever QUERY leaves of
/// them. They come by the date of their first mail, unless --sort says otherwise; --reverse, --limit and --last then count
/// whole threads.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// List only these: a UID set (3, 1:9,12, 100:*) or search keys: unseen, from ann, since 7d; see maildex help query
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    recursive: Recursive,
    /// One JSON object a message
    #[arg(long, group = "look")]
    json: bool,
    /// The path of each message's file
    #[arg(long, group = "look")]
    paths: bool,
    /// The UID of each message
    #[arg(long, group = "look", conflicts_with = "recursive")]
    uids: bool,
    /// Text with fields in braces: '{uid} {flags} {subject:40}'
    #[arg(long, group = "look", value_name = "TEMPLATE", value_parser = Template::parse)]
    format: Option<Template>,
    /// End each path, UID or text of a template with a NUL, for xargs -0
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
    /// By threads: each mail below the one that it answers
    #[arg(long)]
    threads: bool,
    /// By what to order; uid unless --threads is given, then date
    #[arg(long, value_enum)]
    sort: Option<By>,
    /// Order from the other end
    #[arg(long)]
    reverse: bool,
    /// No more than N, from the start
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// No more than N, from the end
    #[arg(long, value_name = "N", conflicts_with = "limit")]
    last: Option<usize>,
    /// Exit with 1 if there is none
    #[arg(long)]
    exit_code: bool,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// Order in which the index met them
    Uid,
    /// Date: field; time of delivery where there is none
    Date,
    /// When the mail was delivered
    Arrival,
    /// Bytes
    Size,
    /// Name of the sender, or address where there is none
    From,
    /// Subject, without Re: and the like
    Subject,
    /// Threads by the date of their first mail
    Thread,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    if args.null && !args.paths && !args.uids && args.format.is_none() {
        out.error("-0 goes with --paths, --uids or --format", None);
        return Ok(Exit::Usage);
    }
    if args.format.as_ref().is_some_and(Template::wants_threads) && !args.threads {
        out.error("{thread}, {depth} and {tree} go with --threads", None);
        return Ok(Exit::Usage);
    }
    let selection = Selection {
        query: query::parse(&args.query)?,
        sort: match args.sort {
            None if args.threads => Sort::Date,
            None | Some(By::Uid) => Sort::Uid,
            Some(By::Date) => Sort::Date,
            Some(By::Arrival) => Sort::Arrival,
            Some(By::Size) => Sort::Size,
            Some(By::From) => Sort::From,
            Some(By::Subject) => Sort::Subject,
            Some(By::Thread) => Sort::Thread,
        },
        reverse: args.reverse,
        limit: args.limit,
        last: args.last,
        threads: args.threads,
    };
    let mut found = false;
    let exit = args.recursive.each(&args.folder, out, |path, out| {
        found |= list_one(args, &selection, path, out)? > 0;
        Ok(Exit::Done)
    })?;
    Ok(if exit == Exit::Done && args.exit_code && !found { Exit::No } else { exit })
}

/// Lists the messages of one folder; returns how many.
fn list_one(args: &Args, selection: &Selection, path: &Path, out: &mut Output) -> anyhow::Result<usize> {
    let mut folder = reading::open(path, !args.no_refresh, out)?;
    let mut records = Records::new(path, &mut folder)?;
    let maildir = std::sync::Arc::clone(folder.maildir());
    let snapshot = folder.complete_index()?.snapshot()?;
    let is_for_people = out.is_for_people();
    let mut printer = args.format.as_ref().map(|template| Printer::new(template, is_for_people));
    let mut view = match out.width() {
        Some(width) => Some(View::new(width, snapshot.last_uid()?, out.has_colour())),
        None => None,
    };
    let mut heading = view.is_some() && args.recursive.recursive;
    let mut names = Names::default();
    let (mut bad, mut unprintable, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let end: &[u8] = if args.null { b"\0" } else { b"\n" };
    let folder_column = (args.recursive.recursive || args.threads).then_some(path);
    let mut line = Vec::new();
    let stdout = out.stdout();
    let mut visit = |message: &Message<'_>, place: Option<&InThread>| {
        if args.json {
            return records.listed(stdout, message, place);
        }
        line.clear();
        if let Some(printer) = &mut printer {
            line.extend_from_slice(printer.line(message, place, &mut records)?);
        } else if args.uids {
            text::number(&mut line, message.uid.get());
        } else if args.paths {
            let Some((sub, name)) = names.of(&maildir, message)? else {
                gone.push(message.uid);
                return Ok(());
            };
            let path = maildir.path_of(sub, &name);
            let path = path.as_os_str().as_bytes();
            if !args.null && path.contains(&b'\n') {
                unprintable.push(message.uid);
                return Ok(());
            }
            if is_for_people { text::bytes(&mut line, path, true) } else { line.write_all(path) }
                .map_err(cannot_write)?;
        } else if let Some(view) = &mut view {
            if std::mem::take(&mut heading) {
                writeln!(line, "{}:", terminal::escaped(&path.to_string_lossy())).map_err(cannot_write)?;
            }
            line.extend_from_slice(view.line(message, place).as_bytes());
        } else {
            tabs(&mut line, message, place, folder_column).map_err(cannot_write)?;
        }
        line.extend_from_slice(end);
        stdout.write_all(&line).map_err(cannot_write)
    };
    let visited = list(&maildir, &snapshot, selection, &mut visit, &mut |error| bad.push(error))?;
    out.failed_all(&bad);
    for uid in unprintable {
        out.problem(format_args!("UID {uid}: its path holds a newline; use --paths -0"));
    }
    for uid in gone {
        out.problem(format_args!("UID {uid}: its file is gone"));
    }
    Ok(visited)
}

/// A line for scripts, without its end.
fn tabs(
    line: &mut Vec<u8>,
    message: &Message<'_>,
    place: Option<&InThread>,
    folder: Option<&Path>,
) -> std::io::Result<()> {
    let entry = &message.entry;
    text::number(line, message.uid.get());
    line.push(b'\t');
    line.extend_from_slice(message.status.sub().as_str().as_bytes());
    line.push(b'\t');
    let start = line.len();
    line.extend(message.status.flags().letters().map(|letter| letter as u8));
    if line.len() == start {
        line.push(b'-');
    }
    line.push(b'\t');
    match entry.date {
        Some(seconds) if text::time(line, seconds) => {}
        _ => line.push(b'-'),
    }
    line.push(b'\t');
    text::number(line, entry.size);
    line.push(b'\t');
    text::field(line, entry.from)?;
    line.push(b'\t');
    text::field(line, entry.subject)?;
    if let Some(folder) = folder {
        line.push(b'\t');
        text::bytes(line, folder.as_os_str().as_bytes(), false)?;
    }
    if let Some(place) = place {
        line.push(b'\t');
        text::number(line, place.first.get());
        line.push(b'\t');
        text::number(line, place.depth);
    }
    Ok(())
}
