//! The file of a message: its name now, and opening it although others rename it.

use std::collections::HashMap;
use std::fs::File;

use rustix::fs::Stat;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::maildir::listing::{Listed, Listing};
use crate::maildir::name::{base_of, canonical};
use crate::maildir::{Maildir, Sub, is_same_time, mtime_ns, open_mail};
use crate::ops::Message;

/// Tries to reach a file that is renamed under our hands.
const MAX_TRIES: usize = 10;

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    sub: Sub,
    name: Vec<u8>,
    ino: u64,
}

/// File names of many messages. Nearly all names follow from base and flags; for the others the directories are
/// listed, once.
#[derive(Debug, Default)]
pub struct Names {
    listed: Option<HashMap<Vec<u8>, Vec<Named>>>,
}

impl Names {
    /// Directory and file name of a message; `None` if it had an odd name and is gone.
    pub fn of(&mut self, maildir: &Maildir, message: &Message<'_>) -> Result<Option<(Sub, Vec<u8>)>> {
        if let Some(name) = computed(message.status, message.entry.base) {
            return Ok(Some(name));
        }
        if self.listed.is_none() {
            let mut listed: HashMap<_, Vec<_>> = HashMap::new();
            each_name(maildir, |sub, Listed { name, ino }| {
                let named = Named { sub, name: name.to_vec(), ino };
                listed.entry(base_of(name).to_vec()).or_default().push(named);
            })?;
            self.listed = Some(listed);
        }
        let same_base = self.listed.as_ref().and_then(|listed| listed.get(message.entry.base));
        Ok(same_base.and_then(|files| best(files, message.inode)).map(|file| (file.sub, file.name.clone())))
    }

    /// The same, with the name that it would have if it had no odd one.
    pub fn of_or_base(&mut self, maildir: &Maildir, message: &Message<'_>) -> Result<(Sub, Vec<u8>)> {
        let Message { status, entry, .. } = message;
        let plain = || (status.sub(), canonical(entry.base, status.flags(), status.has(Status::NO_INFO)));
        Ok(self.of(maildir, message)?.unwrap_or_else(plain))
    }
}

/// Of several files with one base name the one on the inode that the index knows.
fn best(files: &[Named], ino: u64) -> Option<&Named> {
    files.iter().find(|file| file.ino == ino).or_else(|| files.first())
}

/// The name that base and flags give; `None` for an odd one.
fn computed(status: Status, base: &[u8]) -> Option<(Sub, Vec<u8>)> {
    let odd = status.has(Status::NONCANONICAL);
    (!odd).then(|| (status.sub(), canonical(base, status.flags(), status.has(Status::NO_INFO))))
}

fn each_name(maildir: &Maildir, mut visit: impl FnMut(Sub, Listed<'_>)) -> Result<()> {
    for sub in Sub::ALL {
        match maildir.sub(sub) {
            Ok(dir) => Listing::read(&dir)?.iter().for_each(|listed| visit(sub, listed)),
            Err(error) if error.errno() == Some(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a message's file must be: by its name alone it might be another mail.
#[derive(Debug, Clone)]
pub struct Wanted {
    status: Status,
    base: Vec<u8>,
    inode: u64,
    size: u64,
    received_ns: i64,
}

impl Wanted {
    /// The file of a message.
    pub fn of(message: &Message<'_>) -> Wanted {
        let Message { status, inode, entry, .. } = message;
        let (size, received_ns) = (entry.size, entry.received_ns);
        Wanted { status: *status, base: entry.base.to_vec(), inode: *inode, size, received_ns }
    }

    /// Opens it, however often others rename it.
    pub fn open(&self, maildir: &Maildir) -> Result<(File, Sub, Vec<u8>)> {
        let mut candidates = Vec::from_iter(computed(self.status, &self.base));
        for tries in 0..MAX_TRIES {
            let mut other = None;
            let mut vanished = false;
            for (sub, name) in candidates.drain(..) {
                let opened = match maildir.sub(sub) {
                    Ok(dir) => open_mail(&dir, &name),
                    Err(error) => Err(error.errno().unwrap_or(Errno::NOENT)),
                };
                match opened {
                    Ok((file, stat)) if self.is(&stat) => return Ok((file, sub, name)),
                    Ok(_) => other = Some(maildir.path_of(sub, &name)),
                    Err(Errno::NOENT) => vanished = true,
                    Err(errno) => return Err(Error::io("cannot open", maildir.path_of(sub, &name))(errno)),
                }
            }
            // All names of a whole listing have been looked at.
            if tries > 0 && !vanished {
                return Err(match other {
                    Some(path) => Error::OtherMail { path },
                    None => self.gone(maildir),
                });
            }
            each_name(maildir, |sub, Listed { name, .. }| {
                if base_of(name) == self.base {
                    candidates.push((sub, name.to_vec()));
                }
            })?;
        }
        Err(Error::KeepsChanging { path: maildir.path_of(self.status.sub(), &self.base) })
    }

    fn gone(&self, maildir: &Maildir) -> Error {
        let wanted = format!("with the base name {}", String::from_utf8_lossy(&self.base));
        Error::NoMessage { path: maildir.path().to_path_buf(), wanted }
    }

    /// Whether a file is the mail that was indexed: the same size, and the same inode or time of delivery.
    fn is(&self, stat: &Stat) -> bool {
        // Nothing is known of a mail that could not be read, but where it was.
        if self.status.has(Status::UNREADABLE) {
            return stat.st_ino == self.inode;
        }
        let same_time = is_same_time(self.received_ns, mtime_ns(stat));
        stat.st_size as u64 == self.size && (stat.st_ino == self.inode || same_time)
    }
}
