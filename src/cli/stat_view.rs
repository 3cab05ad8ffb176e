//! What `stat` draws on a terminal.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use maildex::maildir::keywords::Keywords;
use maildex::maildir::short;
use maildex::ops::stat::{AGES, SIZES, Stats, Sum};

use crate::cli::output::Output;
use crate::cli::stat::{keyword, states};
use crate::cli::terminal::{self, Align, Columns};
use crate::cli::text;

/// Room for names before the numbers.
const NAME: usize = 15;

/// Bars that are longer say no more.
const BAR_MAX: usize = 60;

/// What the letters of the Maildir page stand for.
const LETTERS: [(char, &str); 6] =
    [('D', "draft"), ('F', "flagged"), ('P', "passed"), ('R', "answered"), ('S', "seen"), ('T', "trashed")];

/// Prints everything.
pub fn print(out: &mut Output, folder: &Path, stats: &Stats, keywords: &Keywords, width: usize) -> io::Result<()> {
    let folder = folder.to_string_lossy();
    let (messages, bytes) = (text::count(stats.all.messages as usize, "message"), size(stats.all.bytes));
    out.line(format_args!("{}: {messages}, {bytes}", terminal::escaped(&folder)))?;
    let total = stats.all.messages;
    let named = states(stats).into_iter().map(|(name, sum)| (name.to_string(), sum));
    let flags = stats.flags.iter().map(|(letter, sum)| {
        let name = LETTERS.iter().find(|(known, _)| known == letter).map(|(_, name)| (*name).to_string());
        (name.or_else(|| keyword(keywords, *letter)).unwrap_or_else(|| letter.to_string()), *sum)
    });
    let rows: Vec<_> = named.chain(flags).filter(|(_, sum)| sum.messages > 0).collect();
    chart(out, "Flags and states", &rows, Some(total), width)?;
    let sizes: Vec<_> = (0..stats.sizes.len()).map(|at| (size_range(at), stats.sizes[at])).collect();
    chart(out, "Size", trimmed(&sizes), None, width)?;
    let ages: Vec<_> = (0..stats.ages.len()).map(|at| (age_range(at), stats.ages[at])).collect();
    chart(out, "Age", trimmed(&ages), None, width)?;
    if !stats.top_senders.is_empty() {
        out.line(format_args!("\nLargest senders, of {}", stats.senders))?;
        for sender in &stats.top_senders {
            let left = format!("  {:>9} {:>8} ", size(sender.sum.bytes), sender.sum.messages);
            let who = [&*sender.name, &*sender.address].join(" ");
            let who = if sender.address.is_empty() { "(no From: field)" } else { who.trim() };
            list_item(out, left, who, width)?;
        }
    }
    if !stats.largest.is_empty() {
        out.line("\nLargest messages, by UID")?;
        for large in &stats.largest {
            let left = format!("  {:>9} {:>8} ", size(large.size), large.uid);
            list_item(out, left, &format!("{}: {}", short::name(&large.from), large.subject), width)?;
        }
    }
    let dead = stats.dead;
    let each = stats.bytes_per_message().map(|bytes| format!(", {bytes} bytes a message")).unwrap_or_default();
    let of = format!("{} % of it dead ({} of {} entries)", dead.percent, dead.messages, dead.of);
    out.line(format_args!("\nIndex: {}{each}; {of}", size(stats.index_bytes)))
}

/// Without the empty rows at both ends.
fn trimmed(rows: &[(String, Sum)]) -> &[(String, Sum)] {
    let is_used = |(_, sum): &(String, Sum)| sum.messages > 0;
    let start = rows.iter().position(is_used).unwrap_or(rows.len());
    let end = rows.iter().rposition(is_used).map_or(start, |last| last + 1);
    &rows[start..end]
}

/// Names, numbers and bars; a full bar is the largest number, or what is given.
fn chart(out: &mut Output, title: &str, rows: &[(String, Sum)], full: Option<u64>, width: usize) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    out.line(format_args!("\n{title}"))?;
    let full = full.or_else(|| rows.iter().map(|(_, sum)| sum.messages).max()).unwrap_or(1).max(1);
    for (name, sum) in rows {
        let mut line = String::from("  ");
        Columns::exactly(NAME).add(&mut line, &terminal::escaped(name));
        let _ = write!(line, " {:>8} {:>9} ", sum.messages, size(sum.bytes));
        let room = width.saturating_sub(2 + NAME + 20).min(BAR_MAX);
        line += &bar(sum.messages as f64 / full as f64 * room as f64, terminal::draws_boxes());
        print_line(out, &line, width)?;
    }
    Ok(())
}

fn list_item(out: &mut Output, mut line: String, text: &str, width: usize) -> io::Result<()> {
    let room = width.saturating_sub(line.len()); // all of it ASCII
    Columns { least: 0, most: room, align: Align::Left }.add(&mut line, &terminal::escaped(text));
    print_line(out, &line, width)
}

fn print_line(out: &mut Output, line: &str, width: usize) -> io::Result<()> {
    let mut fitted = String::new();
    Columns { least: 0, most: width, align: Align::Left }.add(&mut fitted, line.trim_end());
    out.line(fitted)
}

/// A bar of so many columns, to an eighth of one. What is there at all shows.
fn bar(columns: f64, draws_boxes: bool) -> String {
    const EIGHTHS: [char; 8] = ['▏', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    if !draws_boxes {
        return "#".repeat((columns.round() as usize).max(usize::from(columns > 0.0)));
    }
    let mut bar = "█".repeat(columns as usize);
    let rest = (columns.fract() * 8.0) as usize;
    if rest > 0 || (bar.is_empty() && columns > 0.0) {
        bar.push(EIGHTHS[rest]);
    }
    bar
}

/// `4 KiB-16 KiB`
fn size_range(at: usize) -> String {
    let power =
        |bytes: u64| if bytes < 1 << 20 { format!("{} KiB", bytes >> 10) } else { format!("{} MiB", bytes >> 20) };
    match (at.checked_sub(1).map(|before| SIZES[before]), SIZES.get(at)) {
        (None, _) => format!("below {}", power(SIZES[0])),
        (Some(from), None) => format!("from {}", power(from)),
        (Some(from), Some(&below)) => {
            let same = (from < 1 << 20) == (below < 1 << 20);
            let first = if same { power(from).split(' ').next().unwrap_or_default().to_string() } else { power(from) };
            format!("{first}-{}", power(below))
        }
    }
}

fn age_range(at: usize) -> String {
    const NAMES: [&str; AGES.len() + 1] = [
        "in the future",
        "last day",
        "last week",
        "last month",
        "last 3 months",
        "last year",
        "last 2 years",
        "last 5 years",
        "last 10 years",
        "older",
    ];
    NAMES[at].into()
}

/// Three figures are enough.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_figures() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_240, "10.0 KiB"),
            (123_456, "121 KiB"),
            (1_023_900, "0.98 MiB"),
            (5 << 40, "5.00 TiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }

    #[test]
    fn a_bar_shows_what_is_there() {
        assert_eq!((bar(0.0, true), bar(0.01, true), bar(2.5, true)), (String::new(), "▏".into(), "██▌".into()));
        assert_eq!((bar(0.0, false), bar(0.01, false), bar(2.5, false)), (String::new(), "#".into(), "###".into()));
    }

    #[test]
    fn ranges_have_names_that_fit() {
        assert_eq!(
            [0, 1, 5, 6, 9].map(size_range),
            ["below 1 KiB", "1-4 KiB", "256 KiB-1 MiB", "1-4 MiB", "from 64 MiB"]
        );
        assert!((0..=SIZES.len()).map(size_range).all(|name| name.len() <= NAME));
        assert!((0..=AGES.len()).map(age_range).all(|name| name.len() <= NAME));
    }
}
