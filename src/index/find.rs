//! Finding a message: by UID in a few steps, by base name in one pass over the hash pages.

use std::collections::HashSet;

use hashbrown::HashTable;

use crate::error::Result;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Slot, Snapshot};

/// The live messages by the hash of their base name: for whoever looks for many, since each pass over the hash pages
/// costs as much as this.
#[derive(Debug)]
pub struct ByBase(HashTable<SlotNo>);

impl ByBase {
    /// Goes over the hash pages once.
    pub fn new(snapshot: &Snapshot<'_>) -> Result<ByBase> {
        let mut by_base = HashTable::with_capacity(snapshot.len() as usize);
        for slot in snapshot.slots() {
            if !slot.status()?.has(Status::EXPUNGED) {
                by_base.insert_unique(slot.hash(), slot.no(), |&no| snapshot.get(no.0).hash());
            }
        }
        Ok(ByBase(by_base))
    }

    /// As [`Snapshot::find_base`], for the snapshot that this was made of.
    pub fn find<'a>(&self, base: &[u8], snapshot: &Snapshot<'a>, entries: &mut Entries) -> Result<Option<Slot<'a>>> {
        let mut found: Option<Slot<'a>> = None;
        for &no in self.0.iter_hash(snapshot.index.identity.hash(base)) {
            let slot = snapshot.get(no.0);
            if found.is_none_or(|found| found.no() < no) && is_live_base(&slot, base, entries)? {
                found = Some(slot);
            }
        }
        Ok(found)
    }
}

impl<'a> Snapshot<'a> {
    /// The slot of a UID, of an expunged mail, too; `None` if it was never given out.
    pub fn find_uid(&self, uid: Uid) -> Result<Option<Slot<'a>>> {
        let slot = self.first_from(uid)?;
        Ok(match slot {
            Some(slot) if slot.uid()? == uid => Some(slot),
            _ => None,
        })
    }

    /// The first slot whose UID is not below this one.
    pub fn first_from(&self, uid: Uid) -> Result<Option<Slot<'a>>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).uid()? < uid { low = middle + 1 } else { high = middle }
        }
        Ok(self.slot(SlotNo(low)))
    }

    /// The slots of these UIDs, and of all if a number on the way to them is damaged: whoever looks at each will tell.
    pub(crate) fn between(&self, (first, last): (Uid, Uid)) -> impl Iterator<Item = Slot<'a>> + use<'a> {
        let Snapshot { index, count, .. } = *self;
        let place_of = |uid| match self.first_from(uid) {
            Ok(slot) => Some(slot.map_or(count, |slot| slot.no().0)),
            Err(_) => None,
        };
        let from = if first == Uid::FIRST { Some(0) } else { place_of(first) };
        let to = last.get().checked_add(1).and_then(Uid::new).map_or(Some(count), place_of);
        let range = from.zip(to).map_or(0..count, |(from, to)| from..to);
        range.map(move |no| index.slot(SlotNo(no)).expect("a snapshot's slots are mapped"))
    }

    /// The last UID that was published.
    pub fn last_uid(&self) -> Result<Option<Uid>> {
        match self.count.checked_sub(1) {
            Some(last) => self.get(last).uid().map(Some),
            None => Ok(None),
        }
    }

    /// The live message with a base name. Of several, which only a crash between two stores leaves, the largest UID.
    pub fn find_base(&self, base: &[u8], entries: &mut Entries) -> Result<Option<Slot<'a>>> {
        let hash = self.index.identity.hash(base);
        for slot in self.slots().rev() {
            if slot.hash() == hash && is_live_base(&slot, base, entries)? {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// The hash of a base name, see [`Slot::hash`].
    pub fn hash_of(&self, base: &[u8]) -> u64 {
        self.index.identity.hash(base)
    }

    /// The hashes of the base names of all mail that is gone.
    pub fn gone(&self) -> Result<HashSet<u64>> {
        let mut gone = HashSet::new();
        for slot in self.slots() {
            if slot.status()?.has(Status::EXPUNGED) {
                gone.insert(slot.hash());
            }
        }
        Ok(gone)
    }

    fn get(&self, no: u32) -> Slot<'a> {
        self.slot(SlotNo(no)).expect("a snapshot's slots are mapped")
    }
}

fn is_live_base(slot: &Slot<'_>, base: &[u8], entries: &mut Entries) -> Result<bool> {
    Ok(!slot.status()?.has(Status::EXPUNGED) && entries.read(slot)?.base == base)
}
