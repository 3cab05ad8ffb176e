//! How verbs that put mail into a folder tell where it is, whether or not that folder has an index.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use maildex::Error;
use maildex::format::Uid;
use maildex::maildir::{Maildir, Sub};

use crate::cli::output::Output;
use crate::cli::{json, text};

/// A folder that got mail, or lost it.
pub struct Placed<'a> {
    /// As it was named.
    pub folder: &'a Path,
    pub maildir: &'a Maildir,
    /// `None` without an index.
    pub uid_validity: Option<u32>,
    /// What happened to it there.
    pub event: &'static str,
    /// Results go to a terminal.
    pub is_terminal: bool,
}

impl Placed<'_> {
    /// All of them, and those with which it did not work.
    pub fn print_all<'m>(
        &self,
        messages: impl IntoIterator<Item = (Option<Uid>, Sub, &'m [u8], Option<Uid>)>,
        failed: &[Error],
        as_json: bool,
        out: &mut Output,
    ) -> io::Result<()> {
        for (uid, sub, name, was_uid) in messages {
            self.print(out.stdout(), (uid, sub, name), was_uid, as_json)?;
        }
        out.failed_all(failed);
        Ok(())
    }

    /// UID and path of a mail; and the UID that it had in the folder that it came from.
    pub fn print(
        &self,
        out: &mut impl Write,
        (uid, sub, name): (Option<Uid>, Sub, &[u8]),
        was_uid: Option<Uid>,
        as_json: bool,
    ) -> io::Result<()> {
        if as_json {
            return json::placed(out, self, (uid, sub, name), was_uid);
        }
        match uid {
            Some(uid) => write!(out, "{uid}\t")?,
            None => out.write_all(b"-\t")?,
        }
        text::bytes(out, self.maildir.path_of(sub, name).as_os_str().as_bytes(), self.is_terminal)?;
        out.write_all(b"\n")
    }
}

/// Courier's file of what a folder holds is not ours to keep.
pub fn warn_of_quota(maildir: &Maildir, out: &mut Output) {
    let file = maildir.path().join("maildirsize");
    if file.symlink_metadata().is_ok() {
        out.note(format_args!("{}: not kept up to date; Courier counts anew when it is removed", file.display()));
    }
}
