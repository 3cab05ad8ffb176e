//! An index made again from what is left of it: messages whose entries are lost are read again from the folder.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::index::generation::NewGeneration;
use crate::index::publish::SlotData;
use crate::index::salvage::{Row, Salvage};
use crate::lock::Lock;
use crate::maildir::Sub;
use crate::maildir::listing::Listing;
use crate::refresh::join::{Candidate, Listings, Names};
use crate::refresh::pass::GUARDED_FROM;
use crate::refresh::read::{Outcome, Request, Subs, read_all};
use crate::refresh::{Options, is_elsewhere};

/// A message without an entry, and the file that is its mail.
type Orphan = (Uid, Row, Candidate);

/// Makes a new generation. Returns how many UIDs die although a file with their base name is there, because nothing
/// proves that it is the same mail.
pub(crate) fn rebuild(folder: &Folder, salvage: &Salvage, options: Options, lock: &Lock) -> Result<usize> {
    let maildir = folder.maildir();
    let dirs: Subs = Sub::ALL.map(|sub| maildir.sub(sub).ok());
    let listing = |dir: &Option<_>| dir.as_ref().map(Listing::read).transpose();
    let listings: Listings = [listing(&dirs[0])?, listing(&dirs[1])?];
    let names = Names::collect(&listings, |base| salvage.identity.hash(base));
    let (orphans, doubtful, gone) = find_mail(&names, salvage, is_elsewhere(folder, salvage.start.stamps)?);
    if gone > GUARDED_FROM && gone > orphans.len() && !options.accept_removals {
        let of = orphans.len() + gone;
        return Err(Error::Guarded { path: folder.path().to_path_buf(), gone, of });
    }
    let mut entries = HashMap::new();
    let request = |position: usize| {
        let (_, _, candidate): &Orphan = &orphans[position];
        Request { sub: candidate.sub, name: names.listed(candidate).name }
    };
    read_all(&dirs, &request, orphans.len(), |position, outcome| {
        let (uid, _, candidate) = &orphans[position];
        let (entry, state) = match outcome {
            Outcome::Read(mail) if mail.size == 0 => (mail.entry, Some(Status::EMPTY)),
            Outcome::Read(mail) => (mail.entry, None),
            Outcome::Unreadable(_, entry) => (entry, Some(Status::UNREADABLE)),
            // Renamed meanwhile: its UID dies, and the refresh that follows gives it another one.
            Outcome::Vanished | Outcome::NotMail => return Ok(true),
        };
        let named = names.status(candidate);
        let status = state.map_or(named, |state| named.with(state));
        entries.insert(*uid, (entry.to_vec(), status, names.listed(candidate).ino));
        Ok(true)
    })?;
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
    Ok(doubtful)
}

/// The files of messages without an entry; how many have a file that may be another mail; how many have none.
///
/// The same base name on the same inode is the same mail. In a copy of the folder all inodes are others; there base names,
/// which are unique for ever, are believed. Elsewhere the file was replaced, by nobody knows what.
fn find_mail(names: &Names<'_>, salvage: &Salvage, is_copy: bool) -> (Vec<Orphan>, usize, usize) {
    let without_entry = salvage.rows.iter().filter(|(_, row)| !row.has_entry());
    let found: Vec<(Uid, Row, Option<Candidate>)> =
        without_entry.map(|(&uid, row)| (uid, *row, names.by_hash(row.hash, row.inode))).collect();
    let gone = found.iter().filter(|(_, _, candidate)| candidate.is_none()).count();
    let (same, moved): (Vec<Orphan>, Vec<Orphan>) = found
        .into_iter()
        .filter_map(|(uid, row, candidate)| candidate.map(|candidate| (uid, row, candidate)))
        .partition(|(_, row, candidate)| names.listed(candidate).ino == row.inode);
    if is_copy {
        return (same.into_iter().chain(moved).collect(), 0, gone);
    }
    (same, moved.len(), gone)
}
