//! When the two files cannot be used as they are: everything in either of them that still proves itself, by UID.
//!
//! A slot proves its UID by the CRC beside it, an entry by its own. What has an entry needs nothing else. What has a
//! slot only is known by the hash of its base name and its inode; the folder has the name, and the mail gives the entry
//! back. So either file alone is enough, and so are two that are damaged in different places.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;

use crate::dir::{Dir, born_ns};
use crate::error::{Error, Result};
use crate::format::block;
use crate::format::entry::Seal;
use crate::format::header::{HEADER_LEN, Identity, IndexId, Kind, Marks};
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::generation::{Start, first_identity, generations, new_marker};
use crate::index::open::{is_copied_index, read_identity, unproved_uid_validity};
use crate::index::publish::last_of_original;
use crate::index::walk::{Stretch, walk};
use crate::index::{OFFSETS, index_name, is_copy};
use crate::maildir::Sub;
use crate::maildir::listing::Stamp;
use crate::map::{IndexMap, OffsetsMap};

/// A message that was found in one of the files, or in both.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Flags and state, as the slot has them; `None` without a sound slot.
    pub status: Option<Status>,
    /// Hash of the base name.
    pub hash: u64,
    /// Inode of the file when it was last listed; 0 without a slot.
    pub inode: u64,
    /// Offset and length of the entry, and the change number in it.
    entry: Option<(u64, usize, u64)>,
    has_slot: bool,
}

/// Everything that still proves itself.
#[derive(Debug)]
pub struct Salvage {
    /// The header of the generation that is to be made of it.
    pub identity: Identity,
    /// The messages that may live.
    pub rows: BTreeMap<Uid, Row>,
    /// Those whose slots say that they are dead, where no living one has the base name.
    pub dead: BTreeMap<Uid, Row>,
    /// What the new header page starts with.
    pub start: Start,
    /// No message can be missing. Else it may have stood where nothing proves itself any more.
    pub is_whole: bool,
    entries: Option<IndexMap>,
}

impl Row {
    /// Whether the entry was found.
    pub fn has_entry(&self) -> bool {
        self.entry.is_some()
    }
}

impl Salvage {
    /// Reads what is left in a directory. An error if neither file has a header that proves itself: then nobody can
    /// tell which UIDs were given out.
    pub fn collect(dir: &Arc<Dir>) -> Result<Salvage> {
        let mut reason = None;
        let offsets = open(dir, OFFSETS, Kind::Offsets, &mut reason)?;
        let mut indexes = Vec::new();
        let known = offsets.as_ref().and_then(|(_, known)| known.clone());
        let mut last_generation = known.as_ref().map_or(0, |known| known.generation);
        for generation in generations(dir)? {
            last_generation = last_generation.max(generation);
            let Some((file, own)) = open(dir, &index_name(generation), Kind::Index, &mut reason)? else { continue };
            let is_proved = own.is_some();
            // Both files have the same header, so that of the other one serves as well.
            let own = own.or_else(|| known.clone().filter(|known| known.generation == generation));
            if let Some(identity) = own {
                indexes.push((file, identity, is_proved)); // rising, so the last is the newest
            }
        }
        let newest = || indexes.last().map(|(_, identity, _)| identity.clone());
        let Some(old) = known.clone().or_else(newest) else {
            return Err(nothing_left(dir, reason));
        };
        if let Some((_, other, _)) = indexes.last()
            && indexes.iter().all(|(_, identity, _)| identity.id != old.id)
        {
            // One of the two came from elsewhere. What proves nothing here is thrown away, so it must not be the wrong one.
            let is_native = offsets.as_ref().is_some_and(|(file, _)| {
                let map = OffsetsMap::new(file, false).ok().flatten();
                map.is_some_and(|map| map.header().born().is_some_and(|then| Some(then) == born_ns(file)))
            });
            if !is_native {
                let other = dir.path().join(index_name(other.generation));
                return Err(Error::TwoIndexes { path: dir.path().join(OFFSETS), other });
            }
        }
        let mut found = Found { last_uid: old.uid_floor, ..Found::default() };
        if let Some((file, _)) = &offsets {
            let path = dir.path().join(OFFSETS);
            let map = OffsetsMap::new(file, false).map_err(|source| Error::Io { path, doing: "cannot map", source })?;
            if let Some(map) = map {
                found.is_copy = is_copy(map.header(), born_ns(file));
                found.read_slots(&map, &old.id);
            }
        }
        let (mut entries, mut is_whole_file, mut is_copied) = (None, false, false);
        for (file, identity, is_proved) in indexes.iter().filter(|(_, identity, _)| identity.id == old.id) {
            let map = IndexMap::new(file).map_err(|source| Error::Io {
                path: dir.path().join(index_name(identity.generation)),
                doing: "cannot map",
                source,
            })?;
            found.read_entries(&map, identity);
            is_whole_file = *is_proved && map.len() >= found.accounted.max(HEADER_LEN as u64);
            is_copied = is_copied_index(file);
            entries = Some(map);
        }
        // Nor does an index file without a header of its own prove that a copied offsets file is of this folder.
        if let (true, false, Some((_, other, false))) = (found.is_copy, found.has_entry, indexes.last()) {
            let other = dir.path().join(index_name(other.generation));
            return Err(Error::TwoIndexes { path: dir.path().join(OFFSETS), other });
        }
        let has_proof = found.has_last_slot || found.has_entry;
        if !has_proof && (!is_whole_file || found.unread > 0) {
            return Err(nothing_left(dir, reason)); // nobody can tell which UIDs were given out
        }
        if !has_proof && offsets.is_none() && found.last_uid == 0 {
            // All that a first build leaves that was killed before the offsets file had its name. If it was more, another
            // UIDVALIDITY says so.
            return Ok(Salvage::start_over(dir, 0)?.0);
        }
        // Damaged or cut off entries may have been the newest, and a back-up does not have those.
        let is_whole = has_proof && (found.has_last_slot || (found.unread == 0 && !is_copied));
        if found.is_copy || !is_whole {
            found.last_uid = last_of_original(found.last_uid);
        }
        let dead = found.take_dead();
        let identity =
            Identity { generation: last_generation + 1, marker: new_marker(), uid_floor: found.last_uid, ..old };
        let mut start = Start::without_history(found.last_change, found.complete);
        start.stamps = found.stamps;
        Ok(Salvage { identity, rows: found.rows, dead, start, entries, is_whole })
    }

    /// An index that begins anew, where nothing is left and a person has said that the UIDs may be lost: UIDVALIDITY is
    /// greater than any that can be read in the files, proved or not. Returns the largest of those, too. `touched` is as in
    /// [`first_identity`].
    pub fn start_over(dir: &Arc<Dir>, touched: i64) -> Result<(Salvage, Option<u32>)> {
        let (mut before, mut last_generation) = (None, 0);
        let mut names = vec![(OFFSETS.to_string(), Kind::Offsets)];
        for generation in generations(dir)? {
            last_generation = generation;
            names.push((index_name(generation), Kind::Index));
        }
        for (name, kind) in names {
            let Some(file) = dir.open_file(&name, false)? else { continue };
            before = before.max(unproved_uid_validity(&file, kind, dir.path().join(name))?);
        }
        let first = first_identity(touched);
        let uid_validity = before.map_or(0, |before: u32| before.saturating_add(1)).max(first.uid_validity);
        let identity = Identity { generation: last_generation + 1, uid_validity, ..first };
        let start = Start::without_history(0, false);
        let (rows, dead) = (BTreeMap::new(), BTreeMap::new());
        Ok((Salvage { identity, rows, dead, start, entries: None, is_whole: false }, before))
    }

    /// Copies the bytes of a row's entry, to be closed again, and returns the change number that brought it; `None` for
    /// a row without an entry.
    pub fn entry(&self, row: &Row, bytes: &mut Vec<u8>) -> Option<u64> {
        let (at, len, added) = row.entry?;
        bytes.clear();
        bytes.resize(len, 0);
        self.entries.as_ref().filter(|map| map.copy(at, bytes)).map(|_| added)
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    rows: BTreeMap<Uid, Row>,
    last_uid: u32,
    last_change: u64,
    complete: bool,
    stamps: [Option<Stamp>; 2],
    /// The offsets file is a copy.
    is_copy: bool,
    /// The index file was at least so long.
    accounted: u64,
    /// Bytes of index files that hold no entry that proves itself.
    unread: u64,
    /// Some entry proves itself.
    has_entry: bool,
    /// The last slot that was published proves itself: slots are in UID order, so no larger UID was given out.
    has_last_slot: bool,
}

impl Found {
    fn read_slots(&mut self, map: &OffsetsMap, id: &IndexId) {
        let header = map.header();
        self.last_change = header.counter().max(header.oldest()).unwrap_or(0);
        self.has_last_slot = header.count() == Some(0);
        self.accounted = header.accounted().unwrap_or(0);
        self.complete = header.marks().is_some_and(|marks| marks.has(Marks::COMPLETE));
        // Which directory it was is kept, for the guard.
        self.stamps = Sub::ALL.map(|sub| header.stamp(sub).map(|stamp| Stamp { settled: false, ..stamp }));
        let slots = (map.blocks() * block::SLOTS).min(u32::MAX as usize) as u32;
        for no in (0..slots).map(SlotNo) {
            let (block, row) = (map.block(no.block()).expect("within the map"), no.row());
            let Some(uid) = block::decode_uid(block.uid[row].load(), id, no) else { continue };
            self.last_uid = self.last_uid.max(uid.get());
            self.has_last_slot |= header.count() == Some(u64::from(no.0) + 1);
            let status = Status::decode(block.status[row].load());
            self.rows.insert(
                uid,
                Row {
                    status,
                    hash: block.hash[row].load(),
                    inode: block.inode[row].load(),
                    entry: None,
                    has_slot: true,
                },
            );
        }
    }

    /// Of several entries with one UID the last counts. Entries of an older generation are those that compaction has
    /// dropped, so only their numbers count.
    fn read_entries(&mut self, map: &IndexMap, identity: &Identity) {
        self.last_uid = self.last_uid.max(identity.uid_floor);
        self.rows.retain(|_, row| row.has_slot);
        self.rows.values_mut().for_each(|row| row.entry = None);
        let mut placeholders = Vec::new();
        walk(map, &Seal::new(&identity.id, identity.marker), 0, |stretch| match stretch {
            Stretch::Entry(at, len, entry) => {
                self.has_entry = true;
                self.last_uid = self.last_uid.max(entry.uid.get());
                self.last_change = self.last_change.max(entry.added);
                if entry.placeholder {
                    placeholders.push(entry.uid);
                    return;
                }
                let hash = identity.hash(entry.base);
                let row = self.rows.entry(entry.uid).or_insert(Row {
                    status: None,
                    hash,
                    inode: 0,
                    entry: None,
                    has_slot: false,
                });
                row.hash = hash;
                row.entry = Some((at, len, entry.added));
            }
            Stretch::Gap(from, to, _) => self.unread += to - from,
        });
        for uid in placeholders {
            self.rows.remove(&uid);
        }
    }

    /// Drops what does not live: all but the largest of several UIDs for one base name, where no slot says that they do, and
    /// expunged mail, which is returned.
    fn take_dead(&mut self) -> BTreeMap<Uid, Row> {
        let is_dead = |row: &Row| row.status.is_some_and(|status| status.has(Status::EXPUNGED));
        let (mut dead, rows): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.rows).into_iter().partition(|(_, row)| is_dead(row));
        self.rows = rows;
        let newest: HashMap<u64, Uid> = self.rows.iter().map(|(&uid, row)| (row.hash, uid)).collect();
        self.rows.retain(|uid, row| row.has_slot || newest.get(&row.hash) == Some(uid));
        dead.retain(|_, row| !newest.contains_key(&row.hash));
        dead
    }
}

fn nothing_left(dir: &Dir, reason: Option<Error>) -> Error {
    Error::NothingLeft { path: dir.path().to_path_buf(), reason: reason.map(Box::new) }
}

/// A file of ours that is there, and its header, if that proves itself.
fn open(dir: &Dir, name: &str, kind: Kind, reason: &mut Option<Error>) -> Result<Option<(File, Option<Identity>)>> {
    let Some(file) = dir.open_file(name, false)? else { return Ok(None) };
    match read_identity(&file, kind, dir.path().join(name)) {
        Ok(identity) => Ok(Some((file, Some(identity)))),
        Err(error @ Error::Damaged(_)) => {
            *reason = Some(error);
            Ok(Some((file, None)))
        }
        Err(error) => Err(error),
    }
}
