//! After a crash: what a killed writer left is completed, in place.
//!
//! What was shown once was synced before, in both files; what was not is forgotten, but for its UIDs. When a file cannot
//! be used as it is, that is for [`salvage`](super::salvage).

use std::sync::Arc;

use crate::dir::Dir;
use crate::error::{Damage, Error, Result};
use crate::format::header::{self, HEADER_LEN, Marks};
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::format::{SlotNo, Uid};
use crate::index::generation::{counter_after, generations, remove_others};
use crate::index::{Index, OFFSETS, Slot, Snapshot};
use crate::maildir::Sub;
use crate::maildir::listing::Stamp;
use crate::system::boot_id;

/// What a writer finds.
#[derive(Debug)]
pub enum Found {
    /// A good index.
    Index(Box<Index>),
    /// None of our files.
    Nothing,
    /// Files that cannot be used as they are, and why.
    Broken(String),
}

/// Opens the index for writing, under the lock, and completes what a killed writer left. `damage` was met in an index
/// that could be opened.
pub fn open(dir: &Arc<Dir>, damage: Option<Damage>) -> Result<Found> {
    let opened = match damage {
        Some(damage) => Err(Error::Damaged(damage)),
        None => Index::open(dir, true),
    };
    let mut index = match opened {
        Ok(Some(index)) => index,
        Ok(None) if generations(dir)?.is_empty() => return Ok(Found::Nothing),
        Ok(None) => return Ok(Found::Broken(format!("{}: no such file", dir.path().join(OFFSETS).display()))),
        Err(error @ Error::Damaged(_)) => return Ok(Found::Broken(error.to_string())),
        Err(error) => return Err(error),
    };
    if index.header().marks().is_some_and(|marks| marks.has(Marks::FAILED)) {
        return Ok(Found::Broken(format!("{}: a sync failed", dir.path().display())));
    }
    if index.was_interrupted()? || index.is_copy() {
        index.recover()?;
    }
    Ok(Found::Index(Box::new(index)))
}

impl Index {
    /// Whether the last writer did not end well, or the machine was started again since, so that stores may be lost.
    /// Means a crash only to whoever holds the lock.
    pub(crate) fn was_interrupted(&self) -> Result<bool> {
        let header = self.header();
        let ended = header.marks().is_some_and(|marks| !marks.has(Marks::WRITING));
        Ok(!ended || header.boot() != Some(boot_id()?))
    }

    /// Completes what a killed writer left: publishes the slots that it had synced, forgets the rest, and distrusts
    /// everything that a crash can have torn. Can itself be killed at any point and run again.
    fn recover(&mut self) -> Result<()> {
        let header = self.header();
        let marks = header.marks().unwrap_or(Marks::NONE);
        let change = counter_after(header.counter().max(header.oldest()).unwrap_or(0));
        // A kill loses nothing that was stored. With the machine, change numbers may have been lost and flags not: then
        // nobody can tell any more what changed before. This comes first, for afterwards the boot is the running one.
        // Of a copy nobody can tell what was shown since it was made.
        let is_lost = header.oldest().is_none() || header.counter().is_none();
        if self.is_copy() || header.boot() != Some(boot_id()?) || is_lost {
            header.set_counter(change);
            header.set_oldest(change);
        }
        self.begin_writing(marks)?;
        remove_others(&self.dir, self.identity.generation)?;
        // A kill cannot tear this word. Without it nobody can tell lost slots from those that were never published.
        let count = header.count().ok_or_else(|| self.bad_number(header::at::COUNT, "count"))?;
        self.check_count(count)?;
        let good = self.good_slots(count)?;
        let mut burnt = 0;
        for no in (good..self.slots_mapped()).map(SlotNo) {
            let slot = self.slot(no).expect("within capacity");
            if no.row() == 0 && slot.block().uid.iter().all(|word| word.load() == 0) {
                break; // blocks are filled one after the other; the file may be made much longer by others
            }
            burnt = burnt.max(slot.uid().map_or(0, Uid::get));
            slot.clear();
        }
        if header.accounted().is_none() {
            header.set_accounted(HEADER_LEN as u64); // the next writer looks at every entry
        }
        self.complete_hashes(count as u32..good)?;
        for no in (0..good).map(SlotNo) {
            let slot = self.slot(no).expect("within capacity");
            if slot.changed().is_err() {
                slot.block().changed[no.row()].store(LastChange { number: change, moved: false }.encode());
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
        header.set_counter(change);
        self.burnt = burnt;
        Ok(())
    }

    /// Of slots that were never published each page may be of another moment. Uid and entry have proved themselves; of a
    /// live message the next listing would mend the hash, too, of a dead one nobody would.
    fn complete_hashes(&self, slots: std::ops::Range<u32>) -> Result<()> {
        let mut entries = self.entries()?;
        for no in slots.map(SlotNo) {
            let slot = self.slot(no).expect("within capacity");
            let hash = self.identity.hash(entries.read(&slot)?.base);
            if slot.hash() != hash {
                slot.block().hash[no.row()].store(hash);
            }
        }
        Ok(())
    }

    /// How many slots hold, from the first one: those that were published, and the unbroken run behind them.
    fn good_slots(&self, published: u64) -> Result<u32> {
        let mut entries = self.entries()?;
        let mut last = 0;
        for no in (0..self.slots_mapped()).map(SlotNo) {
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
        Ok(self.slots_mapped())
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
