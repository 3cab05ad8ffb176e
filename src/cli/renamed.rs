//! How verbs that rename mails tell what they did.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use maildex::folder::Folder;
use maildex::format::Uid;
use maildex::ops::rename::Renamed;

use crate::cli::json::Records;
use crate::cli::output::Output;
use crate::cli::text;

/// UID and path of messages, with the names that they have now; and the UID that each had before, if it had another one.
pub fn print<'r>(
    path: &Path,
    folder: &mut Folder,
    messages: impl IntoIterator<Item = (&'r Renamed, Option<Uid>)>,
    json: bool,
    out: &mut Output,
) -> anyhow::Result<()> {
    let records = if json { Some(Records::new(path, folder)?) } else { None };
    let is_for_people = out.is_for_people();
    let stdout = out.stdout();
    for (message, was_uid) in messages {
        if let Some(records) = &records {
            records.renamed(stdout, message, was_uid)?;
            continue;
        }
        let path = folder.maildir().path_of(message.sub, &message.name);
        write!(stdout, "{}\t", message.uid)?;
        text::bytes(stdout, path.as_os_str().as_bytes(), is_for_people)?;
        stdout.write_all(b"\n")?;
    }
    Ok(())
}
