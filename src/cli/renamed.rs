//! How verbs that rename mails tell what they did.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use maildex::folder::Folder;
use maildex::ops::rename::Renamed;

use crate::cli::json::Records;
use crate::cli::output::Output;
use crate::cli::text;

/// UID and path of messages, with the names that they have now.
pub fn print(
    path: &Path,
    folder: &mut Folder,
    messages: &[Renamed],
    json: bool,
    out: &mut Output,
) -> anyhow::Result<()> {
    if json {
        let records = Records::new(path, folder)?;
        messages.iter().try_for_each(|message| records.renamed(out.stdout(), message))?;
        return Ok(());
    }
    for message in messages {
        let path = folder.maildir().path_of(message.sub, &message.name);
        let stdout = out.stdout();
        write!(stdout, "{}\t", message.uid)?;
        text::bytes(stdout, path.as_os_str().as_bytes())?;
        stdout.write_all(b"\n")?;
    }
    Ok(())
}
