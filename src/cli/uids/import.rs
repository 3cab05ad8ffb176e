use std::io;
use std::path::{Path, PathBuf};

use maildex::ops::uids::{self, Adopted, Answer};
use maildex::uidlist::Format;

use super::{Named, refuse};
use crate::cli::build::{self, Bar, until_asked};
use crate::cli::exit::{Exit, Usage};
use crate::cli::output::Output;
use crate::cli::waiting::{self, Waiting};
use crate::cli::{setting, shell, text};

const EXAMPLES: &str = "\
Examples:
  Begin with the numbers that Dovecot has given out; what would that do?
    maildex uids import ~/Maildir ~/Maildir/dovecot-uidlist --dry-run
  The index is lost, and here is the back-up of its numbers:
    rm -f ~/Maildir/maildex.offsets ~/Maildir/maildex.index.*
    maildex uids import ~/Maildir ~/uids.tsv --skip 100000";

/// Take up which UID is which mail's, from a list
///
/// Where there is no index, or one that has given out no number yet, UIDVALIDITY, UIDNEXT and numbers are those of the
/// list; mail that it does not have gets numbers above, and of mail that is not in the folder only UIDNEXT remembers.
///
/// Into an index that has given out numbers only a list with the same UIDVALIDITY can go. Listed numbers above all that
/// were given out are taken up, also by mail that had another one, which is dead then. If a number would come to name
/// another mail nothing is changed, the numbers are named, and the exit status is 3.
///
/// A back-up does not know which numbers were given out after it was made, and to which mail: `--skip` leaves these out.
///
/// Mail is found by its base name. The list is checked whole before anything is done.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// The list, - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How it is written; if not given its first line says it
    #[arg(long, value_name = "FORMAT")]
    format: Option<Named>,
    /// Give out so many numbers less: those that may have been given out since the list was made
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip: u32,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    waiting: Waiting,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let (text, name) = match &*args.file {
        file if file == Path::new("-") => {
            let name = Path::new("standard input");
            (uids::read_text(io::stdin().lock(), name)?, name)
        }
        file => (uids::read_file(file)?, file),
    };
    let mut list = uids::read_list(&text, args.format.map(Format::from), name)?;
    list.uid_next += u64::from(args.skip);
    if args.skip > 0 && list.uid_next > u64::from(u32::MAX) {
        return Err(Usage("--skip: no number would be left; expected fewer").into());
    }
    let folder = setting::open(&args.folder)?;
    let (answer, report) = if args.dry_run {
        (uids::preview(&folder, &list)?, None)
    } else {
        let mut bar = Bar::new(out.shows_progress());
        let mut tell = waiting::tell(&args.folder, out);
        let done = uids::import(&folder, &list, args.waiting.time, &mut tell, &mut |progress| {
            bar.show(progress);
            until_asked(progress)
        });
        bar.clear();
        let (answer, report) = done?;
        (answer, Some(report))
    };
    match answer {
        Answer::Adopted(adopted) => {
            let above = report.as_ref().map(|report| report.added);
            out.line(summary(&adopted, above))?;
            if let Some(report) = report {
                build::problems(&report, &args.folder, out);
                return Ok(if report.is_clean() { Exit::Done } else { Exit::Some });
            }
            Ok(Exit::Done)
        }
        Answer::Refused(refusal) => {
            let dir = shell::quoted(folder.dir().path().as_os_str());
            let hint = format!(
                "to begin anew with the list's numbers remove the index first: rm {dir}/maildex.offsets {dir}/maildex.index.*; all numbers that it has given out, and tokens, are void then"
            );
            Ok(refuse(&refusal, &args.folder, hint, out))
        }
        Answer::CalledOff => {
            out.note(format_args!("{}: called off; nothing was changed", args.folder.display()));
            Ok(Exit::Done)
        }
    }
}

fn summary(adopted: &Adopted, above: Option<usize>) -> String {
    let Adopted { uid_validity, uid_next, adopted, renumbered, agreed, gone, .. } = *adopted;
    let renumbered = if renumbered > 0 { format!(" ({renumbered} had another one)") } else { String::new() };
    let above = above.map_or(String::new(), |above| format!(", {above} not listed"));
    format!(
        "uidvalidity {uid_validity}, uidnext {uid_next}: {} got the listed number{renumbered}, {agreed} had it, {gone} listed are not in the folder{above}",
        text::count(adopted, "message"),
    )
}
