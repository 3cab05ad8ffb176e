use std::io::Write;
use std::path::PathBuf;

use maildex::ops::uids;

use crate::cli::exit::Exit;
use crate::cli::json::{self, UidsRecord};
use crate::cli::output::Output;
use crate::cli::{reading, text};

const EXAMPLES: &str = "\
Examples:
  Do maildex and Dovecot agree about the numbers?
    maildex uids status ~/Maildir
  How many numbers are left?
    echo $((4294967296 - $(maildex uids status ~/Maildir | awk '$1 == \"uidnext\" { print $2 }')))";

/// Say how the UIDs of a folder stand
///
/// UIDVALIDITY, UIDNEXT, how many messages have a number, how many numbers are dead; and, if Dovecot or Courier keep a
/// list in the folder, how many messages have the same number there, or another one, or are in one of the two only.
/// In a pipe: one value a line, after its name and a tab.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
    /// Print it as one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut folder = reading::open(&args.folder, !args.no_refresh, out)?;
    let status = uids::status(&mut folder)?;
    if args.json {
        json::line(out.stdout(), &UidsRecord::new(&args.folder, &status))?;
    } else {
        let numbers = [
            ("uidvalidity", status.uid_validity.into()),
            ("uidnext", status.uid_next),
            ("messages", status.messages as u64),
            ("dead", status.dead),
        ];
        let mut lines: Vec<_> = numbers.map(|(name, number)| (name, number.to_string())).into();
        for neighbour in &status.neighbours {
            let Ok(list) = &neighbour.compared else { continue };
            let text = format!(
                "{} agree, {} differ, {} only here, {} only there (uidvalidity {}, uidnext {})",
                list.agree, list.differ, list.only_here, list.only_there, list.uid_validity, list.uid_next
            );
            lines.push((neighbour.format.file_name().unwrap_or_default(), text));
        }
        let is_terminal = out.width().is_some();
        for (name, value) in lines {
            if is_terminal {
                out.line(format_args!("{name:<18}{value}"))?;
            } else {
                write!(out.stdout(), "{name}\t")?;
                text::field(out.stdout(), &value)?;
                out.line("")?;
            }
        }
    }
    for neighbour in &status.neighbours {
        if let Err(error) = &neighbour.compared {
            out.failed(error);
        }
    }
    Ok(Exit::Done)
}
