use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::PathBuf;

use maildex::Error;
use maildex::ops::cat::cat;

use crate::cli::exit::Exit;
use crate::cli::json::cannot_write;
use crate::cli::output::Output;
use crate::cli::reading::Wanted;

/// Bytes of a mail that are copied at a time.
const BUFFER: usize = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  Read a mail:
    maildex cat ~/Maildir 3
  The header alone:
    maildex cat ~/Maildir 3 | sed '/^$/q'";

/// Print mails as they are
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[command(override_usage = "maildex cat [OPTIONS] <FOLDER> <MSG>...\n       maildex cat [OPTIONS] -r <ROOT> <PATH>...")]
pub struct Args {
    #[command(flatten)]
    pub wanted: Wanted,
}

pub fn run(args: &Args, out: &mut Output) -> anyhow::Result<Exit> {
    args.wanted.each(out, |_, folder, wanted, out| {
        let (mut bad, mut unread) = (Vec::new(), Vec::new());
        let copy = &mut |mut mail: File, path: PathBuf| {
            let mut buffer = vec![0; BUFFER];
            loop {
                match mail.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(len) => out.stdout().write_all(&buffer[..len]).map_err(cannot_write)?,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(source) => {
                        unread.push(Error::Io { path, doing: "cannot read", source });
                        return Ok(());
                    }
                }
            }
        };
        cat(folder, wanted, copy, &mut |error| bad.push(error))?;
        out.failed_all(&bad);
        out.failed_all(&unread);
        Ok(())
    })?;
    Ok(Exit::Done)
}
