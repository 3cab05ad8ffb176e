//! An index made again from what is left of it: messages whose entries are lost are read again from the folder.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::index::generation::NewGeneration;
use crate::index::publish::SlotData;
use crate::index::salvage::Salvage;
use crate::lock::Lock;
use crate::maildir::Sub;
use crate::maildir::listing::{Listing, Stamp};
use crate::refresh::is_elsewhere;
use crate::refresh::join::{Listings, Names};
use crate::refresh::pass::GUARDED_FROM;
use crate::refresh::read::{Outcome, Request, Subs, read_all};

/// Times that mail which others rename meanwhile is looked for.
const MAX_TRIES: usize = 10;

/// What is to become of the messages of a damaged index. Nothing is changed before `carry_out`.
#[derive(Debug)]
pub struct Rebuild {
    salvage: Salvage,
    /// The mail was copied.
    is_copy: bool,
    /// Messages without an entry that are read again.
    orphans: Vec<Orphan>,
    doubtful: Vec<(Uid, PathBuf)>,
    gone: Vec<Uid>,
}

/// A message without an entry, and the file that is its mail.
#[derive(Debug)]
struct Orphan {
    uid: Uid,
    sub: Sub,
    name: Vec<u8>,
    ino: u64,
    status: Status,
}

/// An entry that was read again, state and inode.
type ReadAgain = (Vec<u8>, Status, u64);

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Its entry proves itself.
    Kept,
    /// Its entry is lost, and is made again from this file.
    ReadAgain(PathBuf),
    /// Its entry is lost, and nothing proves that the mail with its base name is still the same: that gets a new UID.
    Renumbered(PathBuf),
    /// Its entry is lost, and no file has its base name.
    Gone,
    /// Neither file knows of it any more, or it was expunged.
    Unknown,
}

impl fmt::Display for Fate {
    /// What follows "UID 7, ".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Kept => write!(f, "as before"),
            Fate::ReadAgain(path) => write!(f, "read again from {}", path.display()),
            Fate::Renumbered(path) => {
                write!(f, "dead: nothing proves that {} still is its mail; that gets a new UID", path.display())
            }
            Fate::Gone => write!(f, "dead: no file has its base name"),
            Fate::Unknown => write!(f, "left out: its mail was expunged"),
        }
    }
}

impl Rebuild {
    /// Looks what can be made of what proves itself.
    pub(crate) fn plan(folder: &Folder, mut salvage: Salvage) -> Result<Rebuild> {
        revive(folder, &mut salvage)?;
        let lost: Vec<_> = salvage.rows.iter().filter(|(_, row)| !row.has_entry()).map(|(&uid, _)| uid).collect();
        let is_copy = is_elsewhere(folder, salvage.start.stamps)?;
        let mut rebuild = Rebuild { salvage, is_copy, orphans: Vec::new(), doubtful: Vec::new(), gone: Vec::new() };
        rebuild.orphans = rebuild.find(folder, lost)?;
        Ok(rebuild)
    }

    /// Finds the mail of messages without an entry. What two listings in a row do not have is gone.
    ///
    /// The same base name on the same inode is the same mail. In a copy of the folder all inodes are others; there base
    /// names, which are unique for ever, are believed. Elsewhere the file was replaced, by nobody knows what.
    fn find(&mut self, folder: &Folder, mut wanted: Vec<Uid>) -> Result<Vec<Orphan>> {
        let (maildir, mut orphans) = (folder.maildir(), Vec::new());
        for _ in 0..2 {
            let listings = listings(folder)?;
            let names = Names::collect(&listings, |base| self.salvage.identity.hash(base));
            wanted.retain(|&uid| {
                let row = &self.salvage.rows[&uid];
                let Some(candidate) = names.by_hash(row.hash, row.inode) else { return true };
                let listed = names.listed(&candidate);
                if self.is_copy || listed.ino == row.inode {
                    let (sub, name, ino) = (candidate.sub, listed.name.to_vec(), listed.ino);
                    orphans.push(Orphan { uid, sub, name, ino, status: names.status(&candidate) });
                } else {
                    self.doubtful.push((uid, maildir.path_of(candidate.sub, listed.name)));
                }
                false
            });
            if wanted.is_empty() {
                break;
            }
        }
        self.gone.append(&mut wanted);
        self.doubtful.sort_unstable();
        orphans.sort_unstable_by_key(|orphan| orphan.uid);
        Ok(orphans)
    }

    /// The messages that are kept.
    pub fn kept(&self) -> usize {
        self.salvage.rows.len() - self.doubtful.len() - self.gone.len()
    }

    /// Of these so many are read again.
    pub fn read_again(&self) -> usize {
        self.orphans.len()
    }

    /// UIDs that die although a file with their base name is there, because nothing proves that it is the same mail.
    pub fn renumbered(&self) -> &[(Uid, PathBuf)] {
        &self.doubtful
    }

    /// The UIDs that die, and why.
    pub fn dead(&self, folder: &Folder) -> Vec<(Uid, Fate)> {
        let mut dead: Vec<_> = self.gone.iter().chain(self.doubtful.iter().map(|(uid, _)| uid)).copied().collect();
        dead.sort_unstable();
        dead.into_iter().map(|uid| (uid, self.fate(folder, uid))).collect()
    }

    /// No message can be missing among these. Else it may have stood where nothing proves itself any more; its mail then
    /// gets a new UID.
    pub fn is_whole(&self) -> bool {
        self.salvage.is_whole
    }

    /// What becomes of a message.
    pub fn fate(&self, folder: &Folder, uid: Uid) -> Fate {
        let orphan = || self.orphans.binary_search_by_key(&uid, |orphan| orphan.uid);
        let doubtful = || self.doubtful.binary_search_by_key(&uid, |(uid, _)| *uid);
        match self.salvage.rows.get(&uid) {
            None => Fate::Unknown,
            Some(row) if row.has_entry() => Fate::Kept,
            Some(_) => match (orphan(), doubtful()) {
                (Ok(at), _) => Fate::ReadAgain(folder.maildir().path_of(self.orphans[at].sub, &self.orphans[at].name)),
                (_, Ok(at)) => Fate::Renumbered(self.doubtful[at].1.clone()),
                _ => Fate::Gone,
            },
        }
    }

    /// The guard: a directory is not there, or most of what only the folder can tell of is gone at once.
    pub(crate) fn guard(&self, folder: &Folder, accept_removals: bool) -> Result<()> {
        let gone = self.gone.len();
        if gone == 0 || accept_removals {
            return Ok(());
        }
        let mut is_missing = false;
        for (sub, before) in Sub::ALL.into_iter().zip(self.salvage.start.stamps) {
            is_missing |= before.is_some() && Stamp::now(folder.maildir().root(), sub)?.is_none();
        }
        if is_missing || (gone > GUARDED_FROM && gone > self.orphans.len()) {
            let of = self.orphans.len() + self.doubtful.len() + gone;
            return Err(Error::Guarded { path: folder.path().to_path_buf(), gone, of });
        }
        Ok(())
    }

    /// Makes a new generation.
    pub(crate) fn carry_out(&mut self, folder: &Folder, accept_removals: bool, lock: &Lock) -> Result<()> {
        self.guard(folder, accept_removals)?;
        let mut entries = self.read(folder)?;
        let salvage = &self.salvage;
        let identity = salvage.identity.clone();
        let mut generation = NewGeneration::begin(folder.dir(), lock, folder.access(), identity)?;
        let changed = LastChange { number: salvage.start.counter, moved: false };
        let mut bytes = Vec::new();
        for (&uid, row) in &salvage.rows {
            let data = SlotData { uid, status: Status::NONCANONICAL, entry_at: 0, hash: row.hash, inode: row.inode };
            if let Some(added) = salvage.entry(row, &mut bytes) {
                // Without a sound status the flags are for the next listing to say.
                let status = row.status.unwrap_or(data.status);
                generation.push(&mut bytes, added, changed, SlotData { status, ..data })?;
            } else if let Some((mut entry, status, inode)) = entries.remove(&uid) {
                let data = SlotData { status, inode, ..data };
                generation.push(&mut entry, salvage.start.counter, changed, data)?;
            }
        }
        generation.commit(&salvage.start)?;
        Ok(())
    }

    /// The entries of the messages that have none, with state and inode. Mail that others rename meanwhile is looked for
    /// again; what never can be caught loses its UID.
    fn read(&mut self, folder: &Folder) -> Result<HashMap<Uid, ReadAgain>> {
        // One that is there and cannot be opened now is no empty one: all its mail would lose its UIDs.
        let mut dirs: Subs = [None, None];
        for sub in Sub::ALL {
            match folder.maildir().sub(sub) {
                Ok(dir) => dirs[sub as usize] = Some(dir),
                Err(error) if error.errno() == Some(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
        }
        let mut entries = HashMap::new();
        let mut orphans = std::mem::take(&mut self.orphans);
        for _ in 0..MAX_TRIES {
            let mut vanished = Vec::new();
            let request = |position: usize| {
                let orphan: &Orphan = &orphans[position];
                Request { sub: orphan.sub, name: &orphan.name }
            };
            read_all(&dirs, &request, orphans.len(), |position, outcome| {
                let orphan = &orphans[position];
                let (entry, state) = match outcome {
                    Outcome::Read(mail) if mail.size == 0 => (mail.entry, Some(Status::EMPTY)),
                    Outcome::Read(mail) => (mail.entry, None),
                    Outcome::Unreadable(_, entry) => (entry, Some(Status::UNREADABLE)),
                    Outcome::Vanished => {
                        vanished.push(orphan.uid);
                        return Ok(true);
                    }
                    Outcome::NotMail => return Ok(true),
                };
                let status = state.map_or(orphan.status, |state| orphan.status.with(state));
                entries.insert(orphan.uid, (entry.to_vec(), status, orphan.ino));
                Ok(true)
            })?;
            if vanished.is_empty() {
                break;
            }
            orphans = self.find(folder, vanished)?;
        }
        Ok(entries)
    }
}

/// Where files are damaged anyhow, what a slot says of a message's death is not believed against its mail: bytes that mean
/// nothing have a right checksum one time in 64. (Of several dead messages of one base name the last is meant.)
fn revive(folder: &Folder, salvage: &mut Salvage) -> Result<()> {
    if salvage.dead.is_empty() {
        return Ok(());
    }
    let listings = listings(folder)?;
    let names = Names::collect(&listings, |base| salvage.identity.hash(base));
    let mut met = HashSet::new();
    for (uid, mut row) in std::mem::take(&mut salvage.dead).into_iter().rev() {
        let found = names.by_hash(row.hash, row.inode);
        let is_there = found.is_some_and(|found| names.listed(&found).ino == row.inode);
        if met.insert(row.hash) && is_there && row.has_entry() {
            // Without its inode the refresh compares the mail with the entry.
            (row.status, row.inode) = (None, 0);
            salvage.rows.insert(uid, row);
        }
    }
    Ok(())
}

fn listings(folder: &Folder) -> Result<Listings> {
    let listing = |sub| folder.maildir().sub(sub).ok().as_ref().map(Listing::read).transpose();
    Ok([listing(Sub::New)?, listing(Sub::Cur)?])
}
