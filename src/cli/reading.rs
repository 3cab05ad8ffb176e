//! What all reading verbs do first: open the folder and bring the index up to date, if that costs no waiting.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use maildex::Error;
use maildex::folder::Folder;
use maildex::ops::build::{Freshness, freshen};
use maildex::query::message::MessageRef;

use crate::cli::messages::{self, Input};
use crate::cli::output::Output;
use crate::cli::{build, setting, signals};

/// The arguments of verbs that read single messages.
#[derive(clap::Args)]
pub struct Wanted {
    /// Mail folder
    #[arg(required_unless_present = "root")]
    pub folder: Option<PathBuf>,
    /// UIDs (3, 1:9,12), paths or base names; - reads them from standard input, one a line
    #[arg(value_name = "MSG", required_unless_present = "root")]
    messages: Vec<OsString>,
    /// Instead of FOLDER: take paths of mails in any folders below ROOT
    #[arg(short, long, value_name = "ROOT")]
    root: Option<PathBuf>,
    /// On standard input each MSG ends with a NUL, as find -print0 has it
    #[arg(short = '0', long)]
    null: bool,
    /// Do not look for changes first
    #[arg(long)]
    no_refresh: bool,
}

impl Wanted {
    /// Reads which messages are meant, and does `each` with the folders that they are in.
    pub fn each(
        &self,
        out: &mut Output,
        mut each: impl FnMut(&Path, &mut Folder, &[MessageRef], &mut Output) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let input = Input { folder: self.folder.as_deref(), root: self.root.as_deref(), null: self.null };
        messages::each_folder(&input, &self.messages, out, |path, messages, out| {
            each(path, &mut open(path, !self.no_refresh, out)?, messages, out)
        })
    }

    /// For hints.
    pub fn place(&self) -> &Path {
        self.folder.as_deref().or(self.root.as_deref()).unwrap_or(Path::new(""))
    }
}

/// Opens a folder for reading.
pub fn open(path: &Path, refresh: bool, out: &mut Output) -> Result<Folder, Error> {
    let mut folder = setting::open(path)?;
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
