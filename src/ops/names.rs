//! The file of a message: its name now, and reaching it although others rename it.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::dir::Dir;
use crate::error::{Error, Result};
use crate::format::status::Status;
use crate::maildir::listing::{Listed, Listing};
use crate::maildir::name::{base_of, canonical};
use crate::maildir::{Maildir, Sub, is_same_time, mtime_ns, open_mail};
use crate::ops::Message;

/// Tries to reach a file that is renamed under our hands.
const MAX_TRIES: usize = 10;

/// Complete listings that must lack a mail before it is called gone.
const LOOKS: usize = 2;

/// File names of many messages. Nearly all names follow from base and flags; for the others the directories are
/// listed, once, and again when a name from the listing is no longer there.
#[derive(Debug, Default)]
pub struct Names {
    dirs: Option<Dirs>,
    seen: Option<Seen>,
    looks: usize,
}

/// What stood in both directories when they were listed, by base name.
#[derive(Debug)]
struct Seen {
    listings: [Listing; 2],
    by_base: HashTable<(Sub, u32)>,
    hasher: RandomState,
}

/// `new/` and `cur/`, opened once; `None` for one that is not there.
#[derive(Debug)]
pub struct Dirs([Option<Dir>; 2]);

impl Dirs {
    /// Opens both.
    pub fn open(maildir: &Maildir) -> Result<Dirs> {
        let open = |sub| match maildir.sub(sub) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Dirs([open(Sub::New)?, open(Sub::Cur)?]))
    }

    /// One of them.
    pub fn get(&self, sub: Sub) -> Result<&Dir, Errno> {
        self.0[sub as usize].as_ref().ok_or(Errno::NOENT)
    }
}

impl Seen {
    fn look(dirs: &Dirs) -> Result<Seen> {
        let list = |sub| dirs.get(sub).map_or_else(|_| Ok(Listing::default()), Listing::read);
        let listings = [list(Sub::New)?, list(Sub::Cur)?];
        let hasher = RandomState::new();
        let hash = |&(sub, at): &(Sub, u32)| hasher.hash_one(base_of(listings[sub as usize].get(at as usize).name));
        let mut by_base = HashTable::with_capacity(listings.iter().map(Listing::len).sum());
        for sub in Sub::ALL {
            for at in 0..listings[sub as usize].len() as u32 {
                by_base.insert_unique(hash(&(sub, at)), (sub, at), hash);
            }
        }
        Ok(Seen { listings, by_base, hasher })
    }

    fn with_base(&self, base: &[u8]) -> impl Iterator<Item = (Sub, Listed<'_>)> {
        let listed = |&(sub, at): &(Sub, u32)| (sub, self.listings[sub as usize].get(at as usize));
        self.by_base.iter_hash(self.hasher.hash_one(base)).map(listed).filter(move |(_, l)| base_of(l.name) == base)
    }
}

impl Names {
    /// Directory and file name of a message; `None` if it had an odd name and is gone.
    pub fn of(&mut self, maildir: &Maildir, message: &Message<'_>) -> Result<Option<(Sub, Vec<u8>)>> {
        if let Some(name) = computed(message.status, message.entry.base) {
            return Ok(Some(name));
        }
        let seen = match &mut self.seen {
            Some(seen) => seen,
            none => none.insert(Seen::look(&Dirs::open(maildir)?)?),
        };
        // Of several files with one base name the one on the inode that the index knows.
        let files: Vec<_> = seen.with_base(message.entry.base).collect();
        let best = files.iter().find(|(_, file)| file.ino == message.inode).or_else(|| files.first());
        Ok(best.map(|(sub, file)| (*sub, file.name.to_vec())))
    }

    /// The same, with the name that it would have if it had no odd one.
    pub fn of_or_base(&mut self, maildir: &Maildir, message: &Message<'_>) -> Result<(Sub, Vec<u8>)> {
        let Message { status, entry, .. } = message;
        let plain = || (status.sub(), canonical(entry.base, status.flags(), status.has(Status::NO_INFO)));
        Ok(self.of(maildir, message)?.unwrap_or_else(plain))
    }

    /// Does something with the file of a message, however often others rename it meanwhile. `act` gets the directories,
    /// and the file's place and name. It answers with `None` if that file is another mail; a name that is not there
    /// (`NOENT`) is looked up by its base in a listing.
    ///
    /// The listing is made once for all messages, so that a thousand names that somebody has changed cost one. It is made
    /// again for a name in it that is no longer there.
    pub fn reach<T>(
        &mut self,
        maildir: &Maildir,
        wanted: &Wanted,
        mut act: impl FnMut(&Dirs, Sub, &[u8]) -> Result<Option<T>>,
    ) -> Result<T> {
        let mut other = None;
        let mut try_all = |dirs: &Dirs, names: &[(Sub, Vec<u8>)]| {
            let mut vanished = false;
            for (sub, name) in names {
                match act(dirs, *sub, name) {
                    Ok(Some(done)) => return Ok((Some(done), vanished)),
                    Ok(None) => other = Some(maildir.path_of(*sub, name)),
                    Err(error) if error.errno() == Some(Errno::NOENT) => vanished = true,
                    Err(error) => return Err(error),
                }
            }
            Ok((None, vanished))
        };
        if let Some(name) = computed(wanted.status, &wanted.base) {
            let dirs = match &mut self.dirs {
                Some(dirs) => dirs,
                none => none.insert(Dirs::open(maildir)?),
            };
            if let (Some(done), _) = try_all(dirs, &[name])? {
                return Ok(done);
            }
        }
        for _ in 0..MAX_TRIES {
            let (dirs, seen) = match (&mut self.dirs, &mut self.seen) {
                (Some(dirs), Some(seen)) => (dirs, seen),
                (dirs, seen) => {
                    self.looks += 1;
                    // Opened anew, for another directory may stand there by now.
                    let dirs = dirs.insert(Dirs::open(maildir)?);
                    let looked = Seen::look(dirs)?;
                    (dirs, seen.insert(looked))
                }
            };
            let names: Vec<_> = seen.with_base(&wanted.base).map(|(sub, file)| (sub, file.name.to_vec())).collect();
            let (done, vanished) = try_all(dirs, &names)?;
            if let Some(done) = done {
                return Ok(done);
            }
            if !vanished && self.looks >= LOOKS {
                return Err(other.map_or_else(|| wanted.gone(maildir), |path| Error::OtherMail { path }));
            }
            self.seen = None;
        }
        Err(Error::KeepsChanging { path: maildir.path_of(wanted.status.sub(), &wanted.base) })
    }
}

/// The name that base and flags give; `None` for an odd one.
fn computed(status: Status, base: &[u8]) -> Option<(Sub, Vec<u8>)> {
    let odd = status.has(Status::NONCANONICAL);
    (!odd).then(|| (status.sub(), canonical(base, status.flags(), status.has(Status::NO_INFO))))
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

    /// What the index had of it.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Opens it, however often others rename it.
    pub fn open(&self, maildir: &Maildir, names: &mut Names) -> Result<(File, Sub, Vec<u8>)> {
        names.reach(maildir, self, |dirs, sub, name| {
            let opened = dirs.get(sub).and_then(|dir| open_mail(dir, name));
            let (file, stat) = opened.map_err(Error::io("cannot open", maildir.path_of(sub, name)))?;
            Ok(self.is(&stat).then(|| (file, sub, name.to_vec())))
        })
    }

    fn gone(&self, maildir: &Maildir) -> Error {
        let wanted = format!("with the base name {}", String::from_utf8_lossy(&self.base));
        Error::NoMessage { path: maildir.path().to_path_buf(), wanted }
    }

    /// Whether nothing about a file is other than when it was indexed: for what cannot be undone.
    pub fn is_unchanged(&self, stat: &Stat) -> bool {
        let Wanted { status, inode, size, received_ns, .. } = self;
        if status.has(Status::UNREADABLE) {
            return stat.st_ino == *inode;
        }
        if status.has(Status::EMPTY) {
            return stat.st_ino == *inode && stat.st_size == 0;
        }
        stat.st_ino == *inode && stat.st_size as u64 == *size && is_same_time(*received_ns, mtime_ns(stat))
    }

    /// Whether a file is the mail that was indexed: the same size, and the same inode or time of delivery.
    pub fn is(&self, stat: &Stat) -> bool {
        // Nothing is known of a mail that could not be read, or had no bytes yet, but where it was.
        if self.status.has(Status::UNREADABLE) || self.status.has(Status::EMPTY) {
            return stat.st_ino == self.inode;
        }
        let same_time = is_same_time(self.received_ns, mtime_ns(stat));
        stat.st_size as u64 == self.size && (stat.st_ino == self.inode || same_time)
    }
}
