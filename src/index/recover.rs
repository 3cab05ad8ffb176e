//! After a crash, and when one of the two files is lost.
//!
//! Either file gives back every UID. The index file holds them in its entries. The offsets file holds them beside the
//! hash of the base name, and the folder has the names. What was shown once was synced before, in both files.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rustix::fs::Mode;

use crate::dir::Dir;
use crate::error::{Damage, Error, Result};
use crate::format::block;
use crate::format::entry::Seal;
use crate::format::header::{self, Identity, Kind, Marks};
use crate::format::status::Status;
use crate::format::word::Number;
use crate::format::{SlotNo, Uid};
use crate::index::generation::{NewGeneration, Start, counter_after, generations, new_marker, remove_others};
use crate::index::open::read_identity;
use crate::index::publish::SlotData;
use crate::index::walk::{Stretch, walk};
use crate::index::{Index, OFFSETS, Slot, Snapshot, index_name};
use crate::lock::Lock;
use crate::maildir::Sub;
use crate::maildir::listing::Stamp;
use crate::map::{IndexMap, OffsetsMap};
use crate::system::boot_id;

/// What a writer finds.
#[derive(Debug)]
pub enum Found {
    /// A good index; and if it had to be made again from the index file, why.
    Index(Box<Index>, Option<String>),
    /// None of our files.
    Nothing,
    /// The index file is lost; the offsets file gives the UIDs back, with the names in the folder.
    OffsetsOnly(Orphans),
}

/// What the offsets file knows when its index file is lost.
#[derive(Debug)]
pub struct Orphans {
    /// The header that both files had.
    pub identity: Identity,
    /// Live messages, in UID order. The offsets of their entries mean nothing any more.
    pub rows: Vec<SlotData>,
    /// The largest UID in any slot.
    pub last_uid: u32,
    /// The last change number that can be seen.
    pub last_change: u64,
    /// Why the index file is of no use.
    pub reason: Error,
}

/// Opens the index for writing, under the lock: completes what a killed writer left, and makes one file again from the
/// other if it must. `damage` was met in an index that could be opened; then the file that it is in is not believed.
pub fn open(dir: &Arc<Dir>, lock: &Lock, mode: Mode, damage: Option<Damage>) -> Result<Found> {
    let opened = match damage {
        Some(damage) => Err(Error::Damaged(damage)),
        None => Index::open(dir, true),
    };
    let (mut index, rebuilt) = match opened {
        Ok(Some(index)) => (index, None),
        Ok(None) if generations(dir)?.is_empty() => return Ok(Found::Nothing),
        Ok(None) => {
            let why = format!("{}: no such file", dir.path().join(OFFSETS).display());
            (from_index_file(dir, lock, mode, None)?, Some(why))
        }
        Err(Error::Damaged(damage)) if damage.path.ends_with(OFFSETS) => {
            let why = damage.to_string();
            (from_index_file(dir, lock, mode, Some(damage))?, Some(why))
        }
        Err(reason @ Error::Damaged(_)) => return orphans(dir, reason).map(Found::OffsetsOnly),
        Err(error) => return Err(error),
    };
    if index.header().marks().is_some_and(|marks| marks.has(Marks::FAILED)) {
        index = rewrite(index, lock, mode)?;
    }
    if index.was_interrupted()? {
        index.recover()?;
    }
    Ok(Found::Index(Box::new(index), rebuilt))
}

impl Index {
    /// Whether the last writer did not end well, or the machine was started again since, so that stores may be lost.
    /// Means a crash only to whoever holds the lock.
    fn was_interrupted(&self) -> Result<bool> {
        let header = self.header();
        let ended = header.marks().is_some_and(|marks| !marks.has(Marks::WRITING));
        Ok(!ended || header.boot() != Some(boot_id()?))
    }

    /// Completes what a killed writer left: publishes the slots that it had synced, forgets the rest, and distrusts
    /// everything that a crash can have torn. Can itself be killed at any point and run again.
    fn recover(&mut self) -> Result<()> {
        let header = self.header();
        let marks = header.marks().unwrap_or(Marks::NONE);
        self.begin_writing(marks)?;
        remove_others(&self.dir, self.identity.generation)?;
        // A kill cannot tear this word. Without it nobody can tell lost slots from those that were never published.
        let count = header.count().ok_or_else(|| self.bad_number(header::at::COUNT, "count"))?;
        let published = count.min(self.capacity());
        let good = self.good_slots(published)?;
        for no in (good..self.capacity() as u32).map(SlotNo) {
            self.slot(no).expect("within capacity").clear();
        }
        let change = counter_after(header.counter().max(header.oldest()).unwrap_or(0));
        for no in (0..good).map(SlotNo) {
            let slot = self.slot(no).expect("within capacity");
            if slot.changed().is_err() {
                slot.block().changed[no.row()].store(Number::encode(change));
            }
            if slot.status().is_err() {
                // The next listing finds the name, or that the mail is gone.
                slot.block().status[no.row()].store(Status::NONCANONICAL.encode());
            }
        }
        header.set_count(good.into());
        for sub in Sub::ALL {
            // Which directory it was is kept, for the guard.
            if let Some(stamp) = header.stamp(sub) {
                header.set_stamp(sub, &Stamp { settled: false, ..stamp });
            }
        }
        header.set_oldest(change);
        header.set_counter(change);
        self.burn_torn_tail()
    }

    /// How many slots hold, from the first one: those that were published, and the unbroken run behind them.
    fn good_slots(&self, published: u64) -> Result<u32> {
        let mut entries = self.entries()?;
        let mut last = 0;
        for no in (0..self.capacity() as u32).map(SlotNo) {
            let slot = self.slot(no).expect("within capacity");
            let behind = u64::from(no.0) >= published;
            match slot.uid() {
                Ok(uid) if uid.get() > last && (!behind || entries.read(&slot).is_ok()) => last = uid.get(),
                _ if behind => return Ok(no.0),
                Ok(uid) => {
                    let (found, expected) = (uid.to_string(), format!("more than {last}"));
                    return Err(self.damage(slot.at(super::Column::Uid), "uid", found, expected));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.capacity() as u32)
    }

    /// Entries may have been written for UIDs that never got a slot. Nobody has seen those UIDs, but they stand in the
    /// file, so they are not given out again: a floor for UIDNEXT that lasts as long as the file does.
    fn burn_torn_tail(&mut self) -> Result<()> {
        let map = self.map_entries()?;
        let snapshot = self.snapshot()?;
        let mut last = snapshot.last_uid()?.map_or(0, Uid::get);
        let from = snapshot.slots().map(|slot| slot.entry_at()).filter(|&at| at < map.len()).max().unwrap_or(0);
        walk(&map, &self.seal, from, |stretch| {
            if let Stretch::Entry(_, _, entry) = stretch {
                last = last.max(entry.uid.get());
            }
        });
        self.burnt = last;
        Ok(())
    }
}

impl Snapshot<'_> {
    /// Looks for damage that a refresh would not meet: in the entries of all messages, or of the last one, which shows
    /// if the file was cut.
    pub(crate) fn verify(&self, all: bool) -> Result<()> {
        let oldest = self.index.header().oldest();
        if oldest.is_none_or(|oldest| oldest > self.counter) {
            return Err(self.index.bad_number(header::at::OLDEST, "oldest change"));
        }
        let mut entries = self.index.entries()?;
        let hold = |slot: Slot<'_>| {
            slot.changed()?;
            let hash = self.index.identity.hash(entries.read(&slot)?.base);
            // Of a live message the listing mends it.
            if slot.hash() == hash || !slot.status()?.has(Status::EXPUNGED) {
                return Ok(());
            }
            let (found, expected) = (format!("{:#018x}", slot.hash()), format!("{hash:#018x}"));
            Err(self.index.damage(slot.at(super::Column::Hash), "base name hash", found, expected))
        };
        if all { self.slots().try_for_each(hold) } else { self.slots().next_back().map_or(Ok(()), hold) }
    }
}

impl Slot<'_> {
    fn clear(&self) {
        let (block, row) = (self.block(), self.no().row());
        for column in [&block.uid, &block.status, &block.changed, &block.entry_at, &block.hash, &block.inode] {
            if column[row].load() != 0 {
                column[row].store(0);
            }
        }
    }
}

/// The offsets file is lost or has no header: a new generation from the entries.
fn from_index_file(dir: &Arc<Dir>, lock: &Lock, mode: Mode, offsets: Option<Damage>) -> Result<Index> {
    let mut newest = None;
    let mut last_uid = 0;
    let mut last_generation = 0;
    let mut reason = offsets.map(Error::Damaged);
    for generation in generations(dir)? {
        last_generation = last_generation.max(generation);
        let name = index_name(generation);
        let path = dir.path().join(&name);
        let Some(file) = dir.open_file(&name, false)? else { continue };
        let identity = match read_identity(&file, Kind::Index, path.clone()) {
            Ok(identity) => identity,
            Err(error @ Error::Damaged(_)) => {
                reason = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        let map = IndexMap::new(&file).map_err(|source| Error::Io { path, doing: "cannot map", source })?;
        last_uid = last_uid.max(identity.uid_floor);
        walk(&map, &Seal::new(&identity.id, identity.marker), 0, |stretch| {
            if let Stretch::Entry(_, _, entry) = stretch {
                last_uid = last_uid.max(entry.uid.get());
            }
        });
        newest = Some((identity, map)); // rising, so the last is the newest
    }
    let Some((old, map)) = newest else {
        return Err(reason.unwrap_or_else(|| Error::NoIndex { path: dir.path().to_path_buf() }));
    };
    let seal = Seal::new(&old.id, old.marker);
    let identity = Identity { generation: last_generation + 1, marker: new_marker(), uid_floor: last_uid, ..old };
    let (copied, start) = copy_entries(dir, lock, mode, &identity, &seal, &map)?;
    copied.commit(&start)?;
    reopen(dir)
}

/// Of several entries with one UID the last counts; of several UIDs for one base name the largest lives.
fn copy_entries<'l>(
    dir: &Arc<Dir>,
    lock: &'l Lock,
    mode: Mode,
    identity: &Identity,
    seal: &Seal,
    map: &IndexMap,
) -> Result<(NewGeneration<'l>, Start)> {
    struct Seen {
        at: u64,
        len: usize,
        added: u64,
        hash: u64,
        dead: bool,
    }
    let mut by_uid: BTreeMap<Uid, Seen> = BTreeMap::new();
    let mut last_change = 0;
    walk(map, seal, 0, |stretch| {
        if let Stretch::Entry(at, len, entry) = stretch {
            last_change = last_change.max(entry.added);
            let hash = identity.hash(entry.base);
            let seen = Seen { at, len, added: entry.added, hash, dead: entry.placeholder };
            by_uid.insert(entry.uid, seen);
        }
    });
    let mut newest_of: HashMap<u64, Uid> = HashMap::new();
    for (&uid, seen) in &by_uid {
        newest_of.insert(seen.hash, uid);
    }
    let mut generation = NewGeneration::begin(dir, lock, mode, identity.clone())?;
    let start = Start::without_history(last_change, false);
    let mut bytes = Vec::new();
    for (&uid, seen) in &by_uid {
        bytes.clear();
        bytes.resize(seen.len, 0);
        map.copy(seen.at, &mut bytes);
        let dead = seen.dead || newest_of.get(&seen.hash) != Some(&uid);
        // Which file has which flags, and which inode, is for the next listing to say.
        let status = if dead { Status::EXPUNGED } else { Status::NONCANONICAL };
        let data = SlotData { uid, status, entry_at: 0, hash: seen.hash, inode: 0 };
        generation.push(&mut bytes, seen.added, start.counter, data)?;
    }
    Ok((generation, start))
}

/// A sync has failed: everything that still verifies goes into a new generation.
fn rewrite(mut index: Index, lock: &Lock, mode: Mode) -> Result<Index> {
    let dir = Arc::clone(&index.dir);
    let old = index.identity.clone();
    let marks = index.header().marks().unwrap_or(Marks::NONE);
    let snapshot = index.snapshot()?;
    let last_uid = snapshot.last_uid()?.map_or(0, Uid::get).max(old.uid_floor);
    let identity = Identity { generation: old.generation + 1, marker: new_marker(), uid_floor: last_uid, ..old };
    let mut start = Start::without_history(snapshot.counter(), marks.has(Marks::COMPLETE));
    start.stamps =
        Sub::ALL.map(|sub| snapshot.index().header().stamp(sub).map(|stamp| Stamp { settled: false, ..stamp }));
    let mut generation = NewGeneration::begin(&dir, lock, mode, identity)?;
    let mut entries = snapshot.index().entries()?;
    let mut bytes = Vec::new();
    for slot in snapshot.slots() {
        let status = slot.status().unwrap_or(Status::NONCANONICAL);
        let Ok(entry) = entries.read(&slot) else { continue };
        if status.has(Status::EXPUNGED) {
            continue;
        }
        bytes.clear();
        entry.write(&mut bytes);
        let data = SlotData { uid: entry.uid, status, entry_at: 0, hash: slot.hash(), inode: slot.inode() };
        let added = entry.added;
        generation.push(&mut bytes, added, slot.changed().unwrap_or(start.counter), data)?;
    }
    generation.commit(&start)?;
    reopen(&dir)
}

fn reopen(dir: &Arc<Dir>) -> Result<Index> {
    Index::open(dir, true)?.ok_or_else(|| Error::KeepsChanging { path: dir.path().join(OFFSETS) })
}

/// The index file is lost: what the offsets file knows.
fn orphans(dir: &Arc<Dir>, reason: Error) -> Result<Orphans> {
    let path = || dir.path().join(OFFSETS);
    let Some(file) = dir.open_file(OFFSETS, false)? else { return Err(reason) };
    let identity = read_identity(&file, Kind::Offsets, path())?;
    let map = OffsetsMap::new(&file, false)
        .map_err(|source| Error::Io { path: path(), doing: "cannot map", source })?
        .ok_or_else(|| Error::KeepsChanging { path: path() })?;
    let header = map.header();
    let mut found = Orphans {
        rows: Vec::new(),
        last_uid: identity.uid_floor,
        last_change: header.counter().max(header.oldest()).unwrap_or(0),
        identity,
        reason,
    };
    for no in (0..(map.blocks() * block::SLOTS) as u32).map(SlotNo) {
        let block = map.block(no.block()).expect("within the map");
        let Some(uid) = block::decode_uid(block.uid[no.row()].load(), &found.identity.id, no) else { continue };
        found.last_uid = found.last_uid.max(uid.get());
        let status = Status::decode(block.status[no.row()].load()).unwrap_or(Status::NONCANONICAL);
        let in_order = found.rows.last().is_none_or(|last| last.uid < uid);
        if in_order && !status.has(Status::EXPUNGED) {
            let (hash, inode) = (block.hash[no.row()].load(), block.inode[no.row()].load());
            found.rows.push(SlotData { uid, status, entry_at: 0, hash, inode });
        }
    }
    Ok(found)
}
