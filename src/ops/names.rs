//! The file of a message: its name now, and opening it although others rename it.

use std::collections::HashMap;
use std::fs::File;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::maildir::listing::Listing;
use crate::maildir::name::{Name, canonical};
use crate::maildir::{Maildir, Sub, open_mail};
use crate::ops::Message;

/// Tries to reach a file that is renamed under our hands.
const MAX_TRIES: usize = 10;

/// Names by base.
type ByBase = HashMap<Vec<u8>, (Sub, Vec<u8>)>;

/// File names of many messages. Nearly all names follow from base and flags; for the others the directories are
/// listed, once, and once more if one of them has been renamed since the last refresh.
#[derive(Debug, Default)]
pub struct Names {
    odd: Option<ByBase>,
    all: Option<ByBase>,
}

impl Names {
    /// Directory and file name of a message; `None` if it had an odd name and is gone.
    pub fn of(&mut self, maildir: &Maildir, message: &Message<'_>) -> Result<Option<(Sub, Vec<u8>)>> {
        if let Some(name) = computed(message.status, message.entry.base) {
            return Ok(Some(name));
        }
        if self.odd.is_none() {
            self.odd = Some(names_by_base(maildir, |name| !name.is_canonical())?);
        }
        if let Some(found) = self.odd.as_ref().and_then(|names| names.get(message.entry.base)) {
            return Ok(Some(found.clone()));
        }
        if self.all.is_none() {
            self.all = Some(names_by_base(maildir, |_| true)?);
        }
        Ok(self.all.as_ref().and_then(|names| names.get(message.entry.base)).cloned())
    }

    /// The same, with the name that it would have if it had no odd one.
    pub fn of_or_base(&mut self, maildir: &Maildir, message: &Message<'_>) -> Result<(Sub, Vec<u8>)> {
        let Message { status, entry, .. } = message;
        let plain = || (status.sub(), canonical(entry.base, status.flags(), status.has(Status::NO_INFO)));
        Ok(self.of(maildir, message)?.unwrap_or_else(plain))
    }
}

/// The name that base and flags give; `None` for an odd one.
fn computed(status: Status, base: &[u8]) -> Option<(Sub, Vec<u8>)> {
    let odd = status.has(Status::NONCANONICAL);
    (!odd).then(|| (status.sub(), canonical(base, status.flags(), status.has(Status::NO_INFO))))
}

fn names_by_base(maildir: &Maildir, wanted: impl Fn(&Name<'_>) -> bool) -> Result<ByBase> {
    let mut names = HashMap::new();
    each_name(maildir, |sub, name| {
        let parsed = Name::parse(name);
        if wanted(&parsed) {
            names.insert(parsed.base.to_vec(), (sub, name.to_vec()));
        }
    })?;
    Ok(names)
}

/// The name that a base has now, wherever it is.
pub fn look_up(maildir: &Maildir, base: &[u8]) -> Result<Option<(Sub, Vec<u8>)>> {
    let mut found = None;
    each_name(maildir, |sub, name| {
        if Name::parse(name).base == base {
            found = Some((sub, name.to_vec()));
        }
    })?;
    Ok(found)
}

fn each_name(maildir: &Maildir, mut visit: impl FnMut(Sub, &[u8])) -> Result<()> {
    for sub in Sub::ALL {
        match maildir.sub(sub) {
            Ok(dir) => Listing::read(&dir)?.iter().for_each(|listed| visit(sub, listed.name)),
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Opens the mail of a message, however often others rename it. The file is the one with the message's base name.
pub fn open(maildir: &Maildir, status: Status, base: &[u8]) -> Result<(File, Sub, Vec<u8>)> {
    let mut candidate = computed(status, base);
    for _ in 0..MAX_TRIES {
        let (sub, name) = match candidate.take() {
            Some(found) => found,
            None => match look_up(maildir, base)? {
                Some(found) => found,
                None => return Err(gone(maildir, base)),
            },
        };
        let path = || maildir.path_of(sub, &name);
        let dir = match maildir.sub(sub) {
            Ok(dir) => dir,
            Err(error) if error.errno() == Some(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        match open_mail(&dir, &name) {
            Ok((file, _)) => return Ok((file, sub, name)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::io("cannot open", path())(errno)),
        }
    }
    Err(Error::KeepsChanging { path: maildir.path_of(status.sub(), base) })
}

fn gone(maildir: &Maildir, base: &[u8]) -> Error {
    Error::NoMessage { path: maildir.path().to_path_buf(), wanted: String::from_utf8_lossy(base).into_owned() }
}
