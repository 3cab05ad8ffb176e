//! What all reading verbs do first: open the folder and bring the index up to date, if that costs no waiting.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::folder::Folder;
use maildex::ops::build::{Freshness, freshen};
use maildex::query::message::MessageRef;

use crate::cli::output::Output;
use crate::cli::{build, signals};

/// The arguments of verbs that read single messages.
#[derive(clap::Args)]
pub struct Wanted {
    /// Mail folder
    pub folder: PathBuf,
    /// UIDs (3, 1:9,12), paths or base names
    #[arg(value_name = "MSG", required = true)]
    messages: Vec<OsString>,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

impl Wanted {
    /// Opens the folder, and reads which messages are meant.
    pub fn open(&self, out: &mut Output) -> Result<(Folder, Vec<MessageRef>), Error> {
        let wanted = self.messages.iter().map(|text| MessageRef::parse(text)).collect::<Result<_, _>>()?;
        Ok((open(&self.folder, !self.no_refresh, out)?, wanted))
    }
}

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
