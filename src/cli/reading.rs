//! What all reading verbs do first: open the folder and bring the index up to date, if that costs no waiting.

use std::path::Path;

use maildex::Error;
use maildex::folder::Folder;
use maildex::ops::build::{Freshness, freshen};

use crate::cli::output::Output;
use crate::cli::{build, signals};

/// Opens a folder for reading.
pub fn open(path: &Path, refresh: bool, out: &mut Output) -> Result<Folder, Error> {
    let mut folder = Folder::open(path)?;
    if !refresh {
        folder.complete_index()?;
        return Ok(folder);
    }
    let freshened = freshen(&mut folder, &mut build::until_asked);
    signals::resume();
    let (freshness, report) = freshened?;
    if let Some(report) = report {
        build::problems(&report, path, out);
    }
    if let Freshness::Stale(why) = freshness {
        out.note(&why);
        out.note_hint(why.hint());
        out.note(format_args!("{}: shown as of the last refresh", path.display()));
    }
    Ok(folder)
}
