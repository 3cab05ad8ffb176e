use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use maildex::maildir::flags::Flags;
use maildex::maildir::keywords::Keywords;
use maildex::ops::stat::{AGES, SIZES, Stats, Sum, stat};
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::json::{self, rfc3339};
use crate::cli::output::Output;
use crate::cli::{reading, stat_view, text};

const EXAMPLES: &str = "\
Examples:
  What is in a folder:
    maildex stat ~/Maildir
  Who fills it, address and bytes:
    maildex stat ~/Maildir --top 20 | awk -F '\\t' '$1 == \"sender\" { print $2, $4 }'
  Is it time to compact?
    maildex stat ~/Maildir --json | grep -o '\"dead_percent\":[0-9]*'";

/// Print what is in a folder: flags, sizes, ages, senders, and what the index costs
///
/// On a terminal tables and histograms. Ages are those of the Date: field, or of delivery where there is none; sizes those
/// of the files. Senders count by their address.
///
/// In a pipe, separated by tabs: what is counted, which one, messages, bytes, text. What is counted is all, state (unseen,
/// new, unreadable, empty, dateless, truncated), flag (each letter; the text is the keyword's name), size and age (which:
/// below so many bytes or days, - for what is above; 0 days is the future), sender (address; the text is the name),
/// message (the largest, by UID; the text is the subject), and index: its live and dead entries, and both files (without
/// a number of messages). Lines and columns are only ever added.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// So many senders and messages, no more
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut folder = reading::open(&args.folder, !args.no_refresh, out)?;
    let keywords = Keywords::read(folder.maildir().root());
    let uid_validity = folder.index()?.identity().uid_validity;
    let mut bad = Vec::new();
    let now = jiff::Timestamp::now().as_second();
    let stats = stat(&folder.complete_index()?.snapshot()?, now, args.top, &mut |error| bad.push(error))?;
    match out.width() {
        _ if args.json => {
            json::line(out.stdout(), &StatRecord::new(&args.folder, uid_validity, &stats, &keywords))?;
        }
        Some(width) => stat_view::print(out, &args.folder, &stats, &keywords, width)?,
        None => tabs(out.stdout(), &stats, &keywords)?,
    }
    out.failed_all(&bad);
    Ok(Exit::Done)
}

/// What is known of messages but their flags.
pub fn states(stats: &Stats) -> [(&'static str, Sum); 6] {
    [
        ("unseen", stats.unseen),
        ("new", stats.new),
        ("unreadable", stats.unreadable),
        ("empty", stats.empty),
        ("dateless", stats.dateless),
        ("truncated", stats.truncated),
    ]
}

/// The name of a keyword's letter, or the letter.
pub fn keyword(keywords: &Keywords, letter: char) -> Option<String> {
    keywords.of(Flags::letter(letter as u8)?).pop()
}

fn tabs(out: &mut impl Write, stats: &Stats, keywords: &Keywords) -> io::Result<()> {
    let mut row = |what: &str, which: &str, messages: Option<u64>, bytes: u64, text: &str| {
        write!(out, "{what}\t")?;
        text::field(out, which)?;
        match messages {
            Some(messages) => write!(out, "\t{messages}\t{bytes}\t")?,
            None => write!(out, "\t-\t{bytes}\t")?,
        }
        text::field(out, text)?;
        out.write_all(b"\n")
    };
    row("all", "", Some(stats.all.messages), stats.all.bytes, "")?;
    for (state, sum) in states(stats) {
        row("state", state, Some(sum.messages), sum.bytes, "")?;
    }
    for (letter, sum) in &stats.flags {
        let name = keyword(keywords, *letter).unwrap_or_default();
        row("flag", &letter.to_string(), Some(sum.messages), sum.bytes, &name)?;
    }
    let below = |bounds: &[u64], at: usize| bounds.get(at).map(ToString::to_string).unwrap_or_default();
    for (at, sum) in stats.sizes.iter().enumerate() {
        row("size", &below(&SIZES, at), Some(sum.messages), sum.bytes, "")?;
    }
    for (at, sum) in stats.ages.iter().enumerate() {
        row("age", &below(&AGES.map(|days| days as u64), at), Some(sum.messages), sum.bytes, "")?;
    }
    for sender in &stats.top_senders {
        row("sender", &sender.address, Some(sender.sum.messages), sender.sum.bytes, &sender.name)?;
    }
    for large in &stats.largest {
        row("message", &large.uid.to_string(), Some(1), large.size, &large.subject)?;
    }
    let dead = stats.dead;
    row("index", "live", Some((dead.of - dead.messages) as u64), dead.live_bytes, "")?;
    row("index", "dead", Some(dead.messages as u64), dead.bytes, "")?;
    row("index", "files", None, stats.index_bytes, "")
}

#[derive(Serialize)]
struct StatRecord<'a> {
    v: u8,
    folder: String,
    uidvalidity: u32,
    messages: u64,
    bytes: u64,
    unseen: u64,
    new: u64,
    unreadable: u64,
    empty: u64,
    dateless: u64,
    truncated: u64,
    /// By letter.
    flags: BTreeMap<char, u64>,
    /// By name.
    keywords: BTreeMap<String, u64>,
    sizes: Vec<SizeRecord>,
    ages: Vec<AgeRecord>,
    senders: usize,
    top_senders: Vec<SenderRecord<'a>>,
    largest: Vec<LargeRecord<'a>>,
    index_bytes: u64,
    bytes_per_message: Option<u64>,
    dead: usize,
    dead_bytes: u64,
    dead_percent: u8,
}

/// A row of a histogram; null for what is above the last bound.
#[derive(Serialize)]
struct SizeRecord {
    below_bytes: Option<u64>,
    messages: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct AgeRecord {
    below_days: Option<i64>,
    messages: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct SenderRecord<'a> {
    address: &'a str,
    name: &'a str,
    messages: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct LargeRecord<'a> {
    uid: u32,
    size: u64,
    date: Option<String>,
    date_epoch: i64,
    from: &'a str,
    subject: &'a str,
}

impl<'a> StatRecord<'a> {
    fn new(folder: &Path, uidvalidity: u32, stats: &'a Stats, keywords: &Keywords) -> StatRecord<'a> {
        let mut by_name = BTreeMap::new();
        for (letter, sum) in &stats.flags {
            if let Some(name) = keyword(keywords, *letter) {
                *by_name.entry(name).or_default() += sum.messages;
            }
        }
        let sender = |sender: &'a maildex::ops::stat::Sender| SenderRecord {
            address: &sender.address,
            name: &sender.name,
            messages: sender.sum.messages,
            bytes: sender.sum.bytes,
        };
        let large = |large: &'a maildex::ops::stat::Large| LargeRecord {
            uid: large.uid.get(),
            size: large.size,
            date: rfc3339(large.date),
            date_epoch: large.date,
            from: &large.from,
            subject: &large.subject,
        };
        let size = |(at, sum): (usize, &Sum)| {
            let (below_bytes, Sum { messages, bytes }) = (SIZES.get(at).copied(), *sum);
            SizeRecord { below_bytes, messages, bytes }
        };
        let age = |(at, sum): (usize, &Sum)| {
            let (below_days, Sum { messages, bytes }) = (AGES.get(at).copied(), *sum);
            AgeRecord { below_days, messages, bytes }
        };
        StatRecord {
            v: json::VERSION,
            folder: folder.to_string_lossy().into_owned(),
            uidvalidity,
            messages: stats.all.messages,
            bytes: stats.all.bytes,
            unseen: stats.unseen.messages,
            new: stats.new.messages,
            unreadable: stats.unreadable.messages,
            empty: stats.empty.messages,
            dateless: stats.dateless.messages,
            truncated: stats.truncated.messages,
            flags: stats.flags.iter().map(|(letter, sum)| (*letter, sum.messages)).collect(),
            keywords: by_name,
            sizes: stats.sizes.iter().enumerate().map(size).collect(),
            ages: stats.ages.iter().enumerate().map(age).collect(),
            senders: stats.senders,
            top_senders: stats.top_senders.iter().map(sender).collect(),
            largest: stats.largest.iter().map(large).collect(),
            index_bytes: stats.index_bytes,
            bytes_per_message: stats.bytes_per_message(),
            dead: stats.dead.messages,
            dead_bytes: stats.dead.bytes,
            dead_percent: stats.dead.percent,
        }
    }
}
