//! The next generation of an index: the same messages, without what is dead.
//!
//! Both files are written anew beside the old ones; the rename of the offsets file is the commit
//! ([`NewGeneration::commit`]). UIDs, UIDVALIDITY, the id of the index and the change numbers stay, so tokens stay good;
//! only of the removals that are dropped nobody can be told any more, so they are the oldest change still known from then
//! on. Which UIDs were given out is remembered by the floor in both headers.
//!
//! Whoever has the old files mapped goes on seeing them whole, as they were.

use std::ops::ControlFlow;

use crate::dir::Access;
use crate::error::Result;
use crate::format::header::{HEADER_LEN, Identity};
use crate::format::status::Status;
use crate::index::Snapshot;
use crate::index::generation::{NewGeneration, Start, new_marker};
use crate::index::publish::{SlotData, Writer};
use crate::maildir::Sub;

/// What a compaction keeps and drops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Messages that live on.
    pub kept: usize,
    /// Dead ones.
    pub dropped: usize,
    /// Bytes of both files before.
    pub bytes_before: u64,
    /// Bytes of both files now.
    pub bytes_after: u64,
}

/// What a compaction would drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead {
    /// Dead messages in the index.
    pub messages: usize,
    /// All messages in it.
    pub of: usize,
    /// Bytes of the entries of live messages.
    pub live_bytes: u64,
    /// Bytes of entries of dead messages, or of entries that gave way to another one of the same message, or nobody's.
    pub bytes: u64,
    /// Of the bytes of all entries, these are so many percent.
    pub percent: u8,
}

impl Snapshot<'_> {
    /// How much is dead.
    pub fn dead(&self) -> Result<Dead> {
        let all = self.index().index_len()?.saturating_sub(HEADER_LEN as u64);
        let mut entries = self.index().entries()?;
        let (mut live, mut live_bytes) = (0, 0);
        for slot in self.slots() {
            if !slot.status()?.has(Status::EXPUNGED) {
                live += 1;
                live_bytes += entries.len_of(&slot)?;
            }
        }
        let bytes = all.saturating_sub(live_bytes);
        let percent = (bytes * 100).checked_div(all).unwrap_or(0) as u8;
        let of = self.len() as usize;
        Ok(Dead { messages: of - live, of, live_bytes, bytes, percent })
    }
}

impl Writer<'_> {
    /// How much is dead.
    pub fn dead(&mut self) -> Result<Dead> {
        self.snapshot()?.dead()
    }

    /// Writes the next generation and puts it in place; this writer is of no more use then. `progress` hears how many slots
    /// of how many are done, and may call it off as long as nothing is in place: then the answer is `Break`. Messages that
    /// have died after the change `told` are kept as dead ones: there are listeners who have not heard of that yet. Where that
    /// is `None` listeners sleep, nobody knows since when: then all are kept, but without the text of their entries.
    pub fn compact(
        &mut self,
        access: Access,
        told: Option<u64>,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Compacted>> {
        self.publish()?;
        let (uid_floor, lock) = (self.last_uid(), self.lock());
        let snapshot = self.snapshot()?;
        let (index, header) = (snapshot.index(), snapshot.index().header());
        let mut compacted = Compacted { bytes_before: index.bytes()?, ..Compacted::default() };
        let mut oldest = index.oldest()?;
        let old = index.identity().clone();
        let identity = Identity { generation: old.generation + 1, marker: new_marker(), uid_floor, ..old };
        let mut next = NewGeneration::begin(index.dir(), lock, access, identity)?;
        let (mut entries, mut bytes) = (index.entries()?, Vec::new());
        for slot in snapshot.slots() {
            let (status, changed) = (slot.status()?, slot.last_change()?);
            let is_dead = status.has(Status::EXPUNGED);
            if is_dead && told.is_some_and(|told| changed.number <= told) {
                oldest = oldest.max(changed.number);
                compacted.dropped += 1;
            } else {
                let mut added = entries.copy_to(&slot, &mut bytes)?;
                if is_dead && told.is_none() {
                    added = entries.shorten_to(&slot, &mut bytes)?;
                    compacted.dropped += 1;
                }
                let (uid, hash, inode) = (slot.uid()?, slot.hash(), slot.inode());
                next.push(&mut bytes, added, changed, SlotData { uid, status, entry_at: 0, hash, inode })?;
                compacted.kept += usize::from(!is_dead);
            }
            if progress(slot.no().0 as usize + 1, snapshot.len() as usize).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let stamps = Sub::ALL.map(|sub| header.stamp(sub));
        compacted.bytes_after = next.commit(&Start { counter: snapshot.counter(), oldest, complete: true, stamps })?;
        Ok(ControlFlow::Continue(compacted))
    }
}
