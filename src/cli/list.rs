use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;
use maildex::ops::Message;
use maildex::ops::list::{Selection, Sort, list};
use maildex::ops::names::Names;
use maildex::query::Query;

use crate::cli::exit::Exit;
use crate::cli::json::{self, Records, cannot_write};
use crate::cli::output::Output;
use crate::cli::tree::Recursive;
use crate::cli::{reading, terminal, text};

const EXAMPLES: &str = "\
Examples:
  What has not been read, by date:
    maildex list ~/Maildir unseen --sort date
  The ten newest, as JSON:
    maildex list ~/Maildir --last 10 --json
  The files of all flagged mail, whatever their names hold:
    maildex list ~/Maildir flagged --paths -0 | xargs -0r ls -l
  Is there anything new?
    maildex list ~/Maildir new --exit-code --limit 1 > /dev/null && echo yes
  The five largest, sender and size:
    maildex list ~/Maildir --sort size --reverse --limit 5 | cut -f 5,6";

/// List messages, one a line
///
/// On a terminal: UID, flags, date, sender, subject. In a pipe: the same and more, separated by tabs, for scripts: UID,
/// directory (new or cur), flags, date (RFC 3339, UTC), size in bytes, sender, subject; - stands for an empty field,
/// and control characters are escaped. Columns are only ever added at the end.
///
/// With -r the folders come one after the other, orders and limits count in each of them, and in a pipe the folder is
/// one more column, the eighth.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// List only these: a UID set (3, 1:9,12, 100:*) or search keys such as unseen, flagged, new
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    recursive: Recursive,
    /// One JSON object a message
    #[arg(long, group = "format")]
    json: bool,
    /// The path of each message's file
    #[arg(long, group = "format")]
    paths: bool,
    /// The UID of each message
    #[arg(long, group = "format", conflicts_with = "recursive")]
    uids: bool,
    /// End each path or UID with a NUL, for xargs -0
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
    /// By what to order
    #[arg(long, value_enum, default_value = "uid")]
    sort: By,
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
    /// Date: field
    Date,
    /// When the mail was delivered
    Arrival,
    /// Bytes
    Size,
    /// Sender
    From,
    /// Subject, without Re:
    Subject,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    if args.null && !args.paths && !args.uids {
        out.error("-0 goes with --paths or --uids", None);
        return Ok(Exit::Usage);
    }
    let selection = Selection {
        query: Query::parse(args.query.iter().map(String::as_str))?,
        sort: match args.sort {
            By::Uid => Sort::Uid,
            By::Date => Sort::Date,
            By::Arrival => Sort::Arrival,
            By::Size => Sort::Size,
            By::From => Sort::From,
            By::Subject => Sort::Subject,
        },
        reverse: args.reverse,
        limit: args.limit,
        last: args.last,
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
    let mut names = Names::default();
    let (mut bad, mut unprintable, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    let end: &[u8] = if args.null { b"\0" } else { b"\n" };
    let mut row = Row::new(out.width(), args.recursive.recursive.then_some(path));
    let stdout = out.stdout();
    let visited = list(
        &folder.complete_index()?.snapshot()?,
        selection,
        &mut |message| {
            if args.json {
                return records.with(message, &mut |record| json::line(stdout, record));
            }
            if args.uids {
                return write!(stdout, "{}", message.uid).and_then(|()| stdout.write_all(end)).map_err(cannot_write);
            }
            if args.paths {
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
                return stdout.write_all(path).and_then(|()| stdout.write_all(end)).map_err(cannot_write);
            }
            row.write(stdout, message).map_err(cannot_write)
        },
        &mut |error| bad.push(error),
    )?;
    out.failed_all(&bad);
    for uid in unprintable {
        out.problem(format_args!("UID {uid}: its path holds a newline; use --paths -0"));
    }
    for uid in gone {
        out.problem(format_args!("UID {uid}: its file is gone"));
    }
    Ok(visited)
}

/// RFC 3339, in UTC.
const DATES: DateTimePrinter = DateTimePrinter::new();

/// How a line looks.
enum Row {
    /// For scripts; the line is made here and handed on whole. With what ends it: the folder, if there are several.
    Tabs(Vec<u8>, Vec<u8>),
    /// For people: columns of this terminal width, and times of this zone; and before the first one a heading.
    Columns { width: usize, zone: TimeZone, heading: Option<String> },
}

impl Row {
    /// `folder` where it is one of several.
    fn new(width: Option<usize>, folder: Option<&Path>) -> Row {
        let folder = folder.map(Path::to_string_lossy);
        let Some(width) = width else {
            let mut end = Vec::new();
            if let Some(folder) = folder {
                end.push(b'\t');
                text::field(&mut end, &folder).expect("a Vec takes everything");
            }
            end.push(b'\n');
            return Row::Tabs(Vec::new(), end);
        };
        let heading = folder.map(|folder| format!("{}:", terminal::escaped(&folder)));
        Row::Columns { width, zone: TimeZone::system(), heading }
    }

    fn write(&mut self, out: &mut impl Write, message: &Message<'_>) -> io::Result<()> {
        match self {
            Row::Tabs(line, end) => {
                line.clear();
                tabs(line, message)?;
                line.extend_from_slice(end);
                out.write_all(line)
            }
            Row::Columns { width, zone, heading } => {
                if let Some(heading) = heading.take() {
                    writeln!(out, "{heading}")?;
                }
                writeln!(out, "{}", columns(message, *width, zone).trim_end())
            }
        }
    }
}

fn tabs(line: &mut Vec<u8>, message: &Message<'_>) -> io::Result<()> {
    let entry = &message.entry;
    let mut number = itoa::Buffer::new();
    line.extend_from_slice(number.format(message.uid.get()).as_bytes());
    line.push(b'\t');
    line.extend_from_slice(message.status.sub().as_str().as_bytes());
    line.push(b'\t');
    let start = line.len();
    line.extend(message.status.flags().letters().map(|letter| letter as u8));
    if line.len() == start {
        line.push(b'-');
    }
    line.push(b'\t');
    match entry.date.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()) {
        Some(time) => DATES.print_timestamp(&time, &mut *line).map_err(io::Error::other)?,
        None => line.push(b'-'),
    }
    line.push(b'\t');
    line.extend_from_slice(number.format(entry.size).as_bytes());
    line.push(b'\t');
    text::field(line, entry.from)?;
    line.push(b'\t');
    text::field(line, entry.subject)
}

/// A line for people, of exactly this width or with spaces at its end.
pub fn columns(message: &Message<'_>, width: usize, zone: &TimeZone) -> String {
    let entry = &message.entry;
    let seconds = entry.date.unwrap_or(entry.received_ns.div_euclid(1_000_000_000));
    let date = jiff::Timestamp::from_second(seconds)
        .map(|time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default();
    let mark = if message.status.sub() == maildex::maildir::Sub::New { "+" } else { " " };
    let flags = format!("{mark}{}", message.status.flags());
    let left = format!("{:>7} {} {date:16} ", message.uid, terminal::fit(&flags, 5));
    let rest = width.saturating_sub(left.chars().count()); // none of them is wide
    let from_width = (rest / 3).min(28);
    let from = terminal::fit(sender(entry.from), from_width);
    format!("{left}{from} {}", terminal::fit(entry.subject, rest.saturating_sub(from_width + 1)))
}

/// The name in a `From:`, or its address where there is no name.
fn sender(from: &str) -> &str {
    let name = from.split_once('<').map_or(from, |(name, _)| name).trim().trim_matches('"');
    if name.is_empty() { from.trim_matches(['<', '>', ' ']) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_a_name_or_an_address() {
        assert_eq!(sender("Anna <a@b>"), "Anna");
        assert_eq!(sender("\"Doe, J.\" <a@b>"), "Doe, J.");
        assert_eq!(sender("<a@b>"), "a@b");
        assert_eq!(sender("a@b"), "a@b");
        assert_eq!(sender(""), "");
    }
}
