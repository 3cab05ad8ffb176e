use std::path::{Path, PathBuf};

use maildex::lock::Wait;
use maildex::ops::uids::{self, Exported};
use maildex::uidlist::Format;

use super::{Named, refuse};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::waiting::parse_wait;
use crate::cli::{reading, shell, text};

const EXAMPLES: &str = "\
Examples:
  A back-up of what could not be rebuilt:
    maildex uids export ~/Maildir ~/uids.tsv
  Who has which number, for a script:
    maildex uids export ~/Maildir | sed 1d | cut -f 1,2
  Let Dovecot have the same numbers:
    maildex uids export ~/Maildir ~/Maildir/dovecot-uidlist";

/// Write down which UID is which mail's
///
/// To standard output, or to FILE, which takes the place of what was there when it is whole. Dovecot's or Courier's own
/// list is written only if FILE is the `dovecot-uidlist` or `courierimapuiddb` of FOLDER: then in the way of that program,
/// under its lock, and with what else it knows of each mail. As long as UIDVALIDITY stays no number in it may come
/// to name another mail; if one would, nothing is changed and the exit status is 3.
///
/// A list of the format tsv begins with a line of four fields that are separated by tabs: `maildex-uids 1`, `uidvalidity N`,
/// `uidnext N`, `messages N`. Then comes a line for each message, in UID order: UID, tab, base name; in it every byte but
/// the printable ones of ASCII is written as `\xNN`, and a backslash as `\\`.
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Mail folder
    pub folder: PathBuf,
    /// Where to write to, standard output if it is - or not given
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// How; if not given FILE says it by its name, else tsv
    #[arg(long, value_name = "FORMAT")]
    format: Option<Named>,
    /// How long to wait for the lock of Dovecot or Courier: 0, 0.5, 2m, forever
    #[arg(long, value_name = "TIME", default_value = "30", value_parser = parse_wait)]
    wait: Wait,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    let mut folder = reading::open(&args.folder, true, out)?;
    let format = args.format.map(Format::from);
    let mut bad = Vec::new();
    let file = args.file.as_deref().filter(|file| *file != Path::new("-"));
    let Some(file) = file else {
        uids::print(&mut folder, format.unwrap_or(Format::Tsv), out.stdout(), &mut |error| bad.push(error))?;
        out.failed_all(&bad);
        return Ok(Exit::Done);
    };
    let exported = uids::export(&mut folder, format, file, args.wait, &mut |error| bad.push(error))?;
    out.failed_all(&bad);
    match exported {
        Exported::Written { other_validity, renumbered, .. } => {
            if let Some((before, now)) = other_validity {
                let file = file.display();
                out.note(format_args!(
                    "{file}: UIDVALIDITY was {before} and is {now}: mail programs fetch everything anew"
                ));
            }
            if renumbered > 0 {
                let (file, messages) = (file.display(), text::count(renumbered, "message"));
                out.note(format_args!("{file}: Courier gives {messages} in new another number when it takes them up"));
                out.note_hint(Some(format!(
                    "take them up first: maildex inc {}; then export again",
                    shell::quoted(args.folder.as_os_str())
                )));
            }
            Ok(Exit::Done)
        }
        Exported::Refused(refusal) => {
            let (folder, list) = (shell::quoted(args.folder.as_os_str()), shell::quoted(file.as_os_str()));
            Ok(refuse(&refusal, file, format!("take up its numbers instead: maildex uids import {folder} {list}"), out))
        }
    }
}
