use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use maildex::ops::check::{Checked, Finding, Severity, check, host};

use crate::cli::exit::{self, Exit};
use crate::cli::output::Output;
use crate::cli::terminal::escaped;
use crate::cli::tree::Recursive;
use crate::cli::{json, setting, text};

const EXAMPLES: &str = "\
Examples:
  Look for damage, and mend it if there is any:
    maildex check ~/Maildir || maildex build ~/Maildir --full
  Everything there is to say, and read every mail again:
    maildex check ~/Maildir --deep --verbose
  Which of many folders need care:
    maildex check -r ~/Maildir | awk -F '\\t' '$3 > 0 { print $1 }'
  What is wrong where, for a script:
    maildex check ~/Maildir --json";

/// So many notes of a kind are printed one by one.
const NOTES: usize = 10;

/// Look for damage in the index of a folder, and change nothing
///
/// Prints what is wrong, in which file, at which offset, what was found and what was expected there. Exit status 1 if
/// anything is. An index that only lags behind the folder is not damaged.
///
/// Looks at every field of both files, by themselves and against each other, and at the names in the folder; at the mail
/// itself only with --deep. What is odd, and no damage, is noted on standard error: flag letters out of order, two files
/// of one base name, what is no mail, files of other programs, what a delivery left in tmp, limits of inotify that are
/// near.
///
/// With -r a table of all folders: messages, damage, notes; in a pipe separated by tabs. What was found goes to standard
/// error then. Columns are only ever added at the end.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folders
    #[arg(value_name = "FOLDER", required = true)]
    pub folders: Vec<PathBuf>,
    #[command(flatten)]
    recursive: Recursive,
    /// Read every mail again, and compare it with what the index has
    #[arg(long)]
    deep: bool,
    /// One JSON object for each finding, and one for each folder
    #[arg(long)]
    json: bool,
    /// Print details, too: how far the index is behind, who has the lock, on what file system it is; and every note
    #[arg(short, long)]
    verbose: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let (mut exits, mut rows) = (BTreeSet::new(), Vec::new());
    for root in &args.folders {
        let done = args.recursive.each(root, out, |path, out| {
            let (exit, checked) = check_one(args, path, out)?;
            rows.push((path.to_path_buf(), checked));
            Ok(exit)
        });
        exits.insert(match done {
            Ok(exit) => exit,
            Err(error) if args.folders.len() == 1 || exit::is_closed(&error) => return Err(error),
            Err(error) => exit::report(&error, root, out),
        });
    }
    let mut told = Told::new(args, None);
    host(&mut |finding| told.take(finding, out));
    told.end(out)?;
    if let Some(width) = out.width().filter(|_| args.recursive.recursive && !args.json && !rows.is_empty()) {
        out.line(table(&rows, width))?;
    }
    Ok(exit::of_all(exits))
}

fn check_one(args: &Args, path: &Path, out: &mut Output) -> anyhow::Result<(Exit, Checked)> {
    let folder = setting::open(path)?;
    let mut told = Told::new(args, Some(path));
    let checked = check(&folder, args.deep, &mut |finding| told.take(finding, out))?;
    told.end(out)?;
    let Checked { messages, damage, notes } = checked;
    if args.json {
        json::checked(out.stdout(), path, &checked)?;
    } else if args.recursive.recursive {
        if out.width().is_none() {
            text::field(out.stdout(), &path.to_string_lossy())?;
            out.line(format_args!("\t{messages}\t{damage}\t{notes}"))?;
        }
    } else if damage == 0 {
        out.line(escaped(&format!("{}: {}, no damage", path.display(), text::count(messages, "message"))))?;
    }
    Ok((if damage == 0 { Exit::Done } else { Exit::No }, checked))
}

/// Prints findings, and at the end what to do about them, each way out once.
struct Told<'a> {
    args: &'a Args,
    folder: Option<&'a Path>,
    /// Of each kind of note, how many were made.
    notes: BTreeMap<&'static str, usize>,
    /// Hints in the order of what they are about, and whether that is damage.
    hints: Vec<(bool, String)>,
    error: Option<std::io::Error>,
}

impl<'a> Told<'a> {
    fn new(args: &'a Args, folder: Option<&'a Path>) -> Told<'a> {
        Told { args, folder, notes: BTreeMap::new(), hints: Vec::new(), error: None }
    }

    fn take(&mut self, finding: &Finding, out: &mut Output) {
        let is_damage = finding.severity == Severity::Damage;
        if self.error.is_some() || (finding.severity == Severity::Detail && !self.args.verbose) {
            return;
        }
        if self.args.json {
            self.error = json::finding(out.stdout(), self.folder, finding, None).err();
            return;
        }
        if !is_damage {
            let made = self.notes.entry(finding.kind).or_default();
            *made += 1;
            if *made > NOTES && !self.args.verbose {
                return;
            }
            out.note(finding);
        } else if self.args.recursive.recursive {
            out.error(finding, None);
        } else {
            self.error = out.line(escaped(&finding.to_string())).err();
        }
        if let Some(hint) = &finding.hint
            && !self.hints.iter().any(|(_, said)| said == hint)
        {
            self.hints.push((is_damage, hint.clone()));
        }
    }

    fn end(self, out: &mut Output) -> std::io::Result<()> {
        self.error.map_or(Ok(()), Err)?;
        let more = self.notes.values().map(|made| made.saturating_sub(NOTES)).sum();
        if more > 0 && !self.args.verbose {
            let folder = self.folder.unwrap_or(Path::new("."));
            out.note(format_args!(
                "{}: {} of the same kind; see all with --verbose",
                folder.display(),
                text::count(more, "more note")
            ));
        }
        for (is_damage, hint) in self.hints {
            if is_damage { out.hint(hint) } else { out.note_hint(Some(hint)) }
        }
        Ok(())
    }
}

fn table(rows: &[(PathBuf, Checked)], width: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.min(u16::MAX.into()) as u16);
    table.set_header(["folder", "messages", "damage", "notes"]);
    let mut add = |name: &str, numbers: [usize; 3]| {
        let cells = numbers.map(|number| Cell::new(number).set_alignment(CellAlignment::Right));
        table.add_row([Cell::new(name)].into_iter().chain(cells));
    };
    let mut sum = [0; 3];
    for (path, Checked { messages, damage, notes }) in rows {
        let numbers = [*messages, *damage, *notes];
        add(&escaped(&path.to_string_lossy()), numbers);
        sum = std::array::from_fn(|n| sum[n] + numbers[n]);
    }
    add("total", sum);
    table
}
