//! Finding a message: by UID in a few steps, by base name in one pass over the hash pages.

use crate::error::Result;
use crate::format::status::Status;
use crate::format::{SlotNo, Uid};
use crate::index::{Entries, Slot, Snapshot};

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
            if slot.hash() == hash && !slot.status()?.has(Status::EXPUNGED) && entries.read(&slot)?.base == base {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    fn get(&self, no: u32) -> Slot<'a> {
        self.slot(SlotNo(no)).expect("a snapshot's slots are mapped")
    }
}
