//! Publishing: the only way anything becomes visible, and always in this order.
//!
//! 1. allocate space, so that a full disk fails here and not as a SIGBUS in the middle of a store
//! 2. write the entries, sync the index file
//! 3. store the slots beyond the published count, sync the offsets file
//! 4. store how much of the index file is accounted for, then the count: the new messages are there, whole
//! 5. of messages that were there before and have another name, store where the new entry is, sync the offsets file, store
//!    the hash: a hash that reached the disk without its entry would pass for a message that was found
//! 6. of all messages that were there before, store the change number, then the status
//! 7. store the change counter
//!
//! A kill between any two steps leaves a state that [`recover`](super::recover) completes. Nothing that is published
//! is ever cut or overwritten; an entry that must change gets a new place at the end.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use crate::dir::born_ns;
use crate::error::{Damage, Error, Result};
use crate::failpoint;
use crate::format::block::{self, BLOCK_LEN, Block};
use crate::format::entry::{ALIGN, Entry};
use crate::format::header::{HEADER_LEN, IndexId, Marks, RECORD_LEN, at, encode_born};
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::format::{SlotNo, Uid};
use crate::index::append::{Tail, reserve};
use crate::index::walk::{Stretch, walk};
use crate::index::{Index, OFFSETS, Slot, Snapshot, index_name};
use crate::lock::Lock;
use crate::system::boot_id;

/// After so much work what there is so far is published, so that a killed writer need not begin again, and so that
/// whoever waits for the lock gets it soon.
pub(crate) const BATCH: Duration = Duration::from_millis(200);

/// So many UIDs are skipped when an index turns out to be a copy: those that were given out since it was made, as by the
/// folder that a back-up was restored over, must not be given out again. Nobody knows how many they were.
const GAP: u32 = 1_000_000;

/// The largest UID that may have been given out by what an index is a copy of. The numbers must not run out by this.
pub(crate) fn last_of_original(last_uid: u32) -> u32 {
    last_uid + GAP.min((u32::MAX - last_uid) / 2)
}

/// What a slot holds besides its change number.
#[derive(Debug, Clone, Copy)]
pub struct SlotData {
    /// The UID.
    pub uid: Uid,
    /// Flags and state.
    pub status: Status,
    /// Offset of the entry.
    pub entry_at: u64,
    /// Hash of the base name.
    pub hash: u64,
    /// Inode of the file.
    pub inode: u64,
}

impl SlotData {
    /// Stores into a slot that is not published.
    pub(crate) fn store_in(&self, block: &Block, no: SlotNo, changed: LastChange, id: &IndexId) {
        let row = no.row();
        block.entry_at[row].store(self.entry_at);
        block.hash[row].store(self.hash);
        block.inode[row].store(self.inode);
        block.changed[row].store(changed.encode());
        block.status[row].store(self.status.encode());
        block.uid[row].store(block::encode_uid(self.uid, id, no));
    }
}

/// A change to a slot that is published.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Flags or state.
    Status(SlotNo, Status),
    /// A new entry for the same UID: a sync program renamed the mail, or its header can be read at last.
    Entry(SlotNo, SlotData),
    /// What the next listing is compared with; nobody is told.
    Hints(SlotNo, u64, u64),
}

/// The one writer of an index. Changes are collected and become visible with [`Writer::publish`].
#[derive(Debug)]
pub struct Writer<'l> {
    index: Index,
    lock: &'l Lock,
    tail: Tail,
    written: bool,
    added: Vec<SlotData>,
    changes: Vec<Change>,
    count: u64,
    counter: u64,
    last_uid: u32,
    begun: bool,
    /// The index file is as long as this, unless somebody else writes to it.
    file_len: u64,
    /// Between the first store of a publish and the last one.
    storing: bool,
    /// It was a copy, and has been taken over.
    was_copy: bool,
}

impl<'l> Writer<'l> {
    /// Takes an index that was opened for writing and needs no recovery.
    pub fn new(mut index: Index, lock: &'l Lock) -> Result<Writer<'l>> {
        let begun = index.marks()?.has(Marks::WRITING); // by the recovery that came before
        let snapshot = index.snapshot()?;
        let (count, counter) = (u64::from(snapshot.len()), snapshot.counter());
        let last_uid = snapshot.last_uid()?.map_or(0, Uid::get).max(index.identity.uid_floor);
        let file_len = index.index_len()?;
        let burnt = Uid::new(index.burnt.max(index.last_unaccounted_uid(file_len)?));
        let tail = Tail::new(file_len.max(HEADER_LEN as u64).next_multiple_of(ALIGN));
        let mut writer = Writer {
            index,
            lock,
            tail,
            written: false,
            added: Vec::new(),
            changes: Vec::new(),
            count,
            counter,
            last_uid,
            begun,
            file_len,
            storing: false,
            was_copy: false,
        };
        burnt.map_or(Ok(()), |uid| writer.raise_uid(uid))?;
        if writer.index.is_copy() {
            writer.take_over()?;
        }
        Ok(writer)
    }

    /// Makes a copy an index in its own right. Its own birth comes last: a writer that is killed before leaves a copy.
    fn take_over(&mut self) -> Result<()> {
        let last = Uid::new(last_of_original(self.last_uid)).filter(|_| self.last_uid > 0);
        last.map_or(Ok(()), |uid| self.raise_uid(uid))?;
        self.publish()?;
        self.begin()?;
        self.index.set_born()?;
        self.was_copy = true;
        Ok(())
    }

    /// Whether the index was a copy until this writer came.
    pub(crate) fn was_copy(&self) -> bool {
        self.was_copy
    }

    /// The index, for reading what is published.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The largest UID that was given out, 0 if there is none.
    pub(crate) fn last_uid(&self) -> u32 {
        self.last_uid
    }

    /// The lock that it works under.
    pub(crate) fn lock(&self) -> &'l Lock {
        self.lock
    }

    /// What is published now.
    pub fn snapshot(&mut self) -> Result<Snapshot<'_>> {
        self.index.snapshot()
    }

    /// The number that the changes of the next [`Writer::publish`] will carry.
    fn change(&self) -> u64 {
        self.counter + 1
    }

    /// Adds a message under the next UID. `bytes` are those of [`Entry::write`].
    pub fn add(&mut self, bytes: &mut [u8], status: Status, hash: u64, inode: u64) -> Result<Uid> {
        let next = self.last_uid.checked_add(1).and_then(Uid::new);
        let uid = next.ok_or_else(|| Error::UidsExhausted { path: self.index.dir.path().to_path_buf() })?;
        let entry_at = self.append(bytes, uid, self.change())?;
        self.last_uid = uid.get();
        self.added.push(SlotData { uid, status, entry_at, hash, inode });
        Ok(uid)
    }

    /// Makes sure that no UID up to `uid` is given out again, by a dead slot with that number.
    pub fn raise_uid(&mut self, uid: Uid) -> Result<()> {
        if uid.get() <= self.last_uid {
            return Ok(());
        }
        self.last_uid = uid.get() - 1;
        let mut bytes = Vec::new();
        Entry::placeholder().write(&mut bytes);
        let hash = self.index.identity.hash(b"");
        self.add(&mut bytes, Status::EXPUNGED, hash, 0).map(drop)
    }

    /// Gives a published message a new entry under its old UID. `added` is what the old one had, if this is no news for
    /// who has heard of the message; else it counts as added once more.
    pub fn renew(&mut self, slot: SlotNo, bytes: &mut [u8], data: SlotData, added: Option<u64>) -> Result<()> {
        let entry_at = self.append(bytes, data.uid, added.unwrap_or(self.change()))?;
        self.changes.push(Change::Entry(slot, SlotData { entry_at, ..data }));
        Ok(())
    }

    /// Changes flags or state of a published message.
    pub fn set_status(&mut self, slot: SlotNo, status: Status) {
        self.changes.push(Change::Status(slot, status));
    }

    /// Stores anew what the next listing is compared with.
    pub fn set_hints(&mut self, slot: SlotNo, hash: u64, inode: u64) {
        self.changes.push(Change::Hints(slot, hash, inode));
    }

    /// Changes that are waiting for [`Writer::publish`].
    pub fn pending(&self) -> usize {
        self.added.len() + self.changes.len()
    }

    fn append(&mut self, bytes: &mut [u8], uid: Uid, added: u64) -> Result<u64> {
        if self.tail.is_large() {
            self.write_entries()?;
        }
        let at = self.tail.end();
        self.index.seal.close(bytes, at, uid, added);
        self.tail.push(bytes);
        Ok(at)
    }

    /// Steps 1 and 2 without the sync.
    fn write_entries(&mut self) -> Result<()> {
        if self.tail.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.still_ours()?;
        self.tail.write(&self.index.entries_file, || self.index.index_path())?;
        self.file_len = self.tail.end();
        self.written = true;
        Ok(())
    }

    /// Whether nobody has written since we did: the lockfile can be removed by hand, and then two write. Looked at
    /// before each step that would overwrite what another one has published meanwhile.
    fn still_ours(&self) -> Result<()> {
        self.lock.check()?;
        let untouched = self.index.index_len()? == self.file_len && self.index.header().count() == Some(self.count);
        let lost = || Error::LockLost { path: self.index.dir.path().join(crate::lock::LOCKFILE) };
        if untouched { Ok(()) } else { Err(lost()) }
    }

    fn begin(&mut self) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        self.lock.check()?;
        self.index.begin_writing(self.index.marks()?)?;
        self.begun = true;
        Ok(())
    }

    /// Makes everything collected so far visible.
    pub fn publish(&mut self) -> Result<()> {
        if self.pending() == 0 {
            return Ok(());
        }
        self.begin()?;
        self.write_entries()?;
        if self.written {
            self.sync(&self.index.entries_file)?;
            self.written = false;
        }
        let change = self.change();
        if !self.added.is_empty() {
            self.store_slots(change)?;
        }
        // From here on readers see it.
        self.still_ours()?;
        self.storing = true;
        if self.index.header().accounted() != Some(self.tail.end()) {
            self.index.header().set_accounted(self.tail.end());
        }
        if !self.added.is_empty() {
            self.count += self.added.len() as u64;
            self.index.header().set_count(self.count);
        }
        if self.index.store_new_places(&self.changes) {
            self.sync(&self.index.offsets_file)?;
        }
        for &item in &self.changes {
            self.index.store_change(item, change);
        }
        self.index.header().set_counter(change);
        self.storing = false;
        self.counter = change;
        self.added.clear();
        self.changes.clear();
        Ok(())
    }

    /// Step 3.
    fn store_slots(&mut self, change: u64) -> Result<()> {
        let needed = self.count + self.added.len() as u64;
        self.still_ours()?;
        self.index.grow(needed)?;
        for (no, data) in (self.count as u32..).zip(&self.added) {
            let slot = self.index.slot(SlotNo(no)).expect("the file was just grown");
            data.store_in(
                slot.block(),
                SlotNo(no),
                LastChange { number: change, moved: false },
                &self.index.identity.id,
            );
        }
        self.sync(&self.index.offsets_file)
    }

    /// A sync that failed may have dropped pages; trying again would not bring them back. So it is final for this
    /// generation: the next writer starts a new one.
    fn sync(&self, file: &File) -> Result<()> {
        rustix::fs::fsync(file).map_err(|errno| {
            if let Some(marks) = self.index.header().marks() {
                self.index.header().set_marks(marks.with(Marks::FAILED));
            }
            Error::io("cannot sync", self.index.dir.path())(errno)
        })?;
        failpoint::synced(file);
        Ok(())
    }

    /// Says whether the first build has finished, or records stamps: header words that are no change of a message.
    pub fn edit_header(&mut self, edit: impl FnOnce(&crate::format::header::HeaderPage)) -> Result<()> {
        self.begin()?;
        edit(self.index.header());
        Ok(())
    }

    /// Publishes the rest and says that the writer has ended well.
    pub fn finish(mut self) -> Result<()> {
        self.publish()
    }

    /// How many messages are published and live.
    pub fn live(&mut self) -> Result<usize> {
        let mut live = 0;
        for slot in self.snapshot()?.slots() {
            live += usize::from(!slot.status()?.has(Status::EXPUNGED));
        }
        Ok(live)
    }
}

/// A writer that ends between two publishes, even because of an error, leaves nothing to recover. One that ends within
/// a publish leaves its mark, and the next one completes it.
impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if self.begun
            && !self.storing
            && self.still_ours().is_ok()
            && let Ok(marks) = self.index.marks()
        {
            self.index.header().set_marks(marks.without(Marks::WRITING));
        }
    }
}

impl Index {
    /// Before the first change: removes what a killed compaction left, and says that a writer is at work.
    pub(crate) fn begin_writing(&self, marks: Marks) -> Result<()> {
        self.dir.unlink(&index_name(self.identity.generation + 1))?;
        self.header().set_boot(&boot_id()?);
        if self.header().born().is_none() {
            self.set_born()?;
        }
        self.header().set_marks(marks.with(Marks::WRITING));
        Ok(())
    }

    /// Says that the files are no copies; the offsets file, by which that is known, comes last.
    fn set_born(&self) -> Result<()> {
        if let Some(born_ns) = born_ns(&self.entries_file) {
            self.entries_file.write_all_at(&encode_born(born_ns), RECORD_LEN as u64).map_err(|source| Error::Io {
                path: self.index_path(),
                doing: "cannot write",
                source,
            })?;
        }
        if let Some(born_ns) = self.born_ns {
            self.header().set_born(born_ns);
        }
        Ok(())
    }

    /// Length of the index file in bytes.
    pub(crate) fn index_len(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.entries_file).map_err(Error::io("cannot stat", self.index_path()))?;
        Ok(stat.st_size as u64)
    }

    /// The largest UID that was given out, as far as can be told without the lock; 0 if there is none.
    pub(crate) fn last_given(&mut self) -> Result<u32> {
        let burnt = self.burnt.max(self.last_unaccounted_uid(self.index_len()?)?);
        let published = self.snapshot()?.last_uid()?.map_or(0, Uid::get);
        Ok(published.max(burnt).max(self.identity.uid_floor))
    }

    /// The largest UID in the entries that no slot accounts for, 0 if there is none. Somebody may have seen it: these are
    /// entries of a killed writer, but also those that a newer offsets file knew, before an older one was put back.
    fn last_unaccounted_uid(&self, file_len: u64) -> Result<u32> {
        let header = self.header();
        let accounted = header.accounted().ok_or_else(|| self.bad_number(at::ACCOUNTED, "accounted bytes"))?;
        if accounted > file_len {
            return Err(Error::Damaged(Damage {
                path: self.index_path(),
                at: file_len,
                what: "end of the file".into(),
                found: format!("{file_len} bytes"),
                expected: format!("at least {accounted}, as {OFFSETS} has it"),
            }));
        }
        let mut last = 0;
        if accounted < file_len {
            walk(&self.map_entries()?, &self.seal, accounted, |stretch| {
                if let Stretch::Entry(_, _, entry) = stretch {
                    last = last.max(entry.uid.get());
                }
            });
        }
        Ok(last)
    }

    /// Appends blocks until there is room for `slots`.
    pub(crate) fn grow(&mut self, slots: u64) -> Result<()> {
        if slots <= self.capacity() {
            return Ok(());
        }
        let from = (HEADER_LEN + self.offsets.blocks() * BLOCK_LEN) as u64;
        let to = HEADER_LEN as u64 + slots.div_ceil(block::SLOTS as u64) * BLOCK_LEN as u64;
        reserve(&self.offsets_file, from, to - from, false)
            .map_err(Error::io("cannot allocate", self.offsets_path()))?;
        self.remap(slots)
    }

    /// Says where the new entries of messages are. Whether the hash of one must be changed after that.
    fn store_new_places(&self, changes: &[Change]) -> bool {
        let mut are_renamed = false;
        for change in changes {
            if let Change::Entry(no, data) = change {
                let slot = self.slot(*no).expect("changes are made to published slots");
                slot.block().entry_at[no.row()].store(data.entry_at);
                are_renamed |= slot.hash() != data.hash;
            }
        }
        are_renamed
    }

    fn store_change(&self, change: Change, number: u64) {
        let slot = |no| self.slot(no).expect("changes are made to published slots");
        let set_status = |slot: &Slot<'_>, status: Status, renamed: bool| {
            let left = |before: Status| before.sub() != status.sub() && !status.has(Status::EXPUNGED);
            let moved = renamed || slot.status().is_ok_and(left);
            slot.block().changed[slot.no().row()].store(LastChange { number, moved }.encode());
            slot.block().status[slot.no().row()].store(status.encode());
        };
        let set_hints = |slot: &Slot<'_>, hash, inode| {
            slot.block().hash[slot.no().row()].store(hash);
            slot.block().inode[slot.no().row()].store(inode);
        };
        match change {
            Change::Status(no, status) => set_status(&slot(no), status, false),
            Change::Entry(no, data) => {
                let slot = slot(no);
                let renamed = slot.hash() != data.hash;
                set_hints(&slot, data.hash, data.inode);
                set_status(&slot, data.status, renamed);
            }
            Change::Hints(no, hash, inode) => set_hints(&slot(no), hash, inode),
        }
    }
}
