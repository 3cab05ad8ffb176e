//! The raw bytes of mails.

use std::fs::File;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::ops::{names, show};
use crate::query::message::MessageRef;

/// Opens the mail of each message that is named and hands it to `visit`. What is not there or cannot be opened goes to
/// `bad`, and the rest goes on.
pub fn cat(
    folder: &mut Folder,
    wanted: &[MessageRef],
    visit: &mut dyn FnMut(File) -> Result<()>,
    bad: &mut dyn FnMut(Error),
) -> Result<()> {
    let mut found = Vec::new();
    show::show(
        folder,
        wanted,
        &mut |message| {
            found.push((message.status, message.entry.base.to_vec()));
            Ok(())
        },
        bad,
    )?;
    for (status, base) in found {
        match names::open(folder.maildir(), status, &base) {
            Ok((file, ..)) => visit(file)?,
            Err(error) => bad(error),
        }
    }
    Ok(())
}
