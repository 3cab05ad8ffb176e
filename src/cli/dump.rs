use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use maildex::Error;
use maildex::dir::Dir;
use maildex::ops::dump::{Part, Shown, Wanted, dump};
use maildex::query::uidset::UidSet;

use crate::cli::exit::Exit;
use crate::cli::json::{self, cannot_write};
use crate::cli::output::Output;
use crate::cli::terminal::escaped;
use crate::cli::{setting, text};

const EXAMPLES: &str = "\
Examples:
  What both headers say:
    maildex dump ~/Maildir --header
  All that stands anywhere about one message:
    maildex dump ~/Maildir 3
  What does not prove itself, with file and offset:
    maildex dump ~/Maildir | awk -F '\\t' '$7 != \"-\"'
  The ten largest entries, for a script:
    maildex dump ~/Maildir --entries --json | grep '\"field\":\"len\"' | sort -t : -k 9 | tail";

/// Print the files of an index as they are, field by field
///
/// Every field with its file, its offset and length in bytes, what it is part of, its name, what it says, and what is
/// wrong with it. In a pipe separated by tabs, - for nothing wrong. Columns are only ever added at the end.
///
/// Needs no index that can be used, and no mail: prints what there is of either file, truncated, damaged or overwritten.
/// Never brings anything up to date. Exit status 0 even if everything is damaged; what is wrong is for check to say.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Only slots and entries of these UIDs: 3, 1:9,12, 100:*
    #[arg(value_name = "UID")]
    uids: Vec<String>,
    /// The headers of both files
    #[arg(long)]
    header: bool,
    /// The blocks of the offsets file, slot by slot
    #[arg(long)]
    blocks: bool,
    /// The entries of the index file
    #[arg(long)]
    entries: bool,
    /// One JSON object a field
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let uids = args.uids.iter().map(|set| UidSet::parse(set)).collect::<Result<Vec<_>, _>>()?;
    let all = !args.header && !args.blocks && !args.entries;
    let wanted = Wanted {
        header: args.header || (all && uids.is_empty()),
        blocks: args.blocks || all,
        entries: args.entries || all,
        uids,
    };
    let is_terminal = out.width().is_some();
    let mut file = String::new();
    dump(&*dir(&args.folder)?, &wanted, &mut |shown| {
        let stdout = out.stdout();
        let printed = if args.json {
            json::field(stdout, &args.folder, shown)
        } else if is_terminal {
            for_people(stdout, shown, &mut file)
        } else {
            for_scripts(stdout, shown)
        };
        printed.map_err(cannot_write)
    })?;
    Ok(Exit::Done)
}

/// Where the files are; any directory will do that has one of them.
fn dir(path: &Path) -> Result<Arc<Dir>, Error> {
    match setting::open(path) {
        Ok(folder) => Ok(Arc::clone(folder.dir())),
        Err(error @ Error::NotAMaildir { .. }) => {
            let dir = Dir::open(path)?;
            let has_ours = dir.names()?.iter().any(|name| name.as_encoded_bytes().starts_with(b"maildex."));
            if has_ours { Ok(Arc::new(dir)) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

fn part(part: Part) -> String {
    match part {
        Part::Header => "header".into(),
        Part::Slot(no) => format!("slot {no}"),
        Part::Entry(uid) => format!("entry {uid}"),
        Part::Gap => "gap".into(),
    }
}

fn for_scripts(out: &mut impl Write, shown: &Shown<'_>) -> std::io::Result<()> {
    write!(out, "{}\t{}\t{}\t{}\t{}\t", shown.file, shown.at, shown.len, part(shown.part), shown.field)?;
    text::field(out, &shown.value)?;
    out.write_all(b"\t")?;
    text::field(out, shown.damage.as_deref().unwrap_or_default())?;
    out.write_all(b"\n")
}

fn for_people(out: &mut impl Write, shown: &Shown<'_>, file: &mut String) -> std::io::Result<()> {
    if file != shown.file {
        *file = shown.file.into();
        writeln!(out, "{file}")?;
    }
    let (part, value) = (part(shown.part), escaped(&shown.value));
    write!(out, "{:>10} {:>6}  {part:<14} {:<18} {value}", shown.at, shown.len, shown.field)?;
    match &shown.damage {
        Some(damage) => writeln!(out, "  <-- {}", escaped(damage)),
        None => writeln!(out),
    }
}
