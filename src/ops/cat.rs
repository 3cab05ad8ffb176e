//! The raw bytes of mails.

use std::fs::File;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::ops::names::{Names, Wanted};
use crate::ops::show;
use crate::query::message::MessageRef;

/// Opens the mail of each message that is named and hands it to `visit`, with its path. What is not there, cannot be
/// opened, or is another mail by now goes to `bad`, and the rest goes on.
pub fn cat(
    folder: &mut Folder,
    wanted: &[MessageRef],
    visit: &mut dyn FnMut(File, PathBuf) -> Result<()>,
    bad: &mut dyn FnMut(Error),
) -> Result<()> {
    let mut found = Vec::new();
    show::show(
        folder,
        wanted,
        &mut |message| {
            found.push(Wanted::of(message));
            Ok(())
        },
        bad,
    )?;
    let mut names = Names::default();
    for wanted in found {
        match wanted.open(folder.maildir(), &mut names) {
            Ok((file, sub, name)) => visit(file, folder.maildir().path_of(sub, &name))?,
            Err(error) => bad(error),
        }
    }
    Ok(())
}
