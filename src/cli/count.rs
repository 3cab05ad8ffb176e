use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use maildex::ops::count::{Counts, count, counts};

use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::tree::Recursive;
use crate::cli::{query, reading, terminal, text};

const EXAMPLES: &str = "\
Examples:
  How many have not been read:
    maildex count ~/Maildir unseen
  As of the last refresh, as quickly as can be, for a status line:
    maildex count ~/Maildir unseen --no-refresh
  Where there is unread mail:
    maildex count -r ~/Maildir | awk -F '\\t' '$3 > 0 { print $1, $3 }'";

/// Print how many messages there are
///
/// With -r a table of all folders: messages, unread and flagged ones, each among those that QUERY means; on a terminal
/// with totals. In a pipe: folder, messages, unread, flagged, separated by tabs. Columns are only ever added at the end.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Count only these: a UID set (3, 1:9,12, 100:*) or search keys: unseen, from ann, since 7d; see maildex help query
    #[arg(value_name = "QUERY")]
    query: Vec<String>,
    #[command(flatten)]
    recursive: Recursive,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let query = query::parse(&args.query)?;
    let open = |path: &Path, out: &mut Output| reading::open(path, !args.no_refresh, out);
    if !args.recursive.recursive {
        let number = count(&mut open(&args.folder, out)?, &query, &mut |error| out.failed(&error))?;
        out.line(number)?;
        return Ok(Exit::Done);
    }
    let mut rows = Vec::new();
    let exit = args.recursive.each(&args.folder, out, |path, out| {
        let counts = counts(&mut open(path, out)?, &query, &mut |error| out.failed(&error))?;
        if out.width().is_none() {
            let Counts { total, unseen, flagged } = counts;
            text::bytes(out.stdout(), path.as_os_str().as_bytes(), false)?;
            out.line(format_args!("\t{total}\t{unseen}\t{flagged}"))?;
        }
        rows.push((path.to_path_buf(), counts));
        Ok(Exit::Done)
    })?;
    if let Some(width) = out.width().filter(|_| !rows.is_empty()) {
        out.line(table(&rows, width))?;
    }
    Ok(exit)
}

fn table(rows: &[(PathBuf, Counts)], width: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.min(u16::MAX.into()) as u16);
    table.set_header(["folder", "messages", "unseen", "flagged"]);
    let mut add = |name: &str, counts: Counts| {
        let numbers = [counts.total, counts.unseen, counts.flagged];
        let cells = numbers.map(|number| Cell::new(number).set_alignment(CellAlignment::Right));
        table.add_row([Cell::new(name)].into_iter().chain(cells));
    };
    let mut sum = Counts::default();
    for (path, counts) in rows {
        add(&terminal::escaped(&path.to_string_lossy()), *counts);
        sum += *counts;
    }
    add("total", sum);
    table
}
