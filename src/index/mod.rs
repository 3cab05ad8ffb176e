//! The shared index: open it, find a message, publish changes, recover.
//!
//! Reading takes no lock and never waits. A reader loads the published count once ([`Index::snapshot`]); what lies below
//! it is complete, and flags that change meanwhile are simply seen. Writing goes through [`publish::Writer`], under the
//! folder lock.

mod append;
pub mod as_is;
pub mod compact;
pub mod find;
pub mod generation;
pub mod open;
pub mod publish;
pub mod recover;
pub mod salvage;
pub mod walk;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::dir::{Dir, FileId};
use crate::error::{Damage, Error, Result};
use crate::format::block::{self, Block};
use crate::format::entry::{BadEntry, ENTRY_MIN, Entry, Seal};
use crate::format::field::Field;
use crate::format::header::{self, HEADER_LEN, HeaderPage, Identity, Marks};
use crate::format::status::Status;
use crate::format::word::LastChange;
use crate::format::{SlotNo, Uid};
use crate::map::{IndexMap, OffsetsMap};

/// The offsets file.
pub const OFFSETS: &str = "maildex.offsets";

/// The index file of a generation.
pub fn index_name(generation: u64) -> String {
    format!("maildex.index.{generation}")
}

/// An open index: both files of one generation, mapped.
#[derive(Debug)]
pub struct Index {
    dir: Arc<Dir>,
    identity: Identity,
    seal: Seal,
    offsets_file: File,
    offsets_id: FileId,
    offsets: OffsetsMap,
    entries_file: File,
    writable: bool,
    /// When the offsets file was born.
    born_ns: Option<i64>,
    /// UIDs up to this one stood in slots that recovery has cleared.
    burnt: u32,
}

/// The messages that were published at one moment. Their flags are read when they are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    index: &'a Index,
    count: u32,
    counter: u64,
}

/// One message's row in the offsets file.
#[derive(Clone, Copy)]
pub struct Slot<'a> {
    index: &'a Index,
    block: &'a Block,
    no: SlotNo,
}

/// Reads entries: its own map of the index file, and the one entry that it copied out last. For the slots of the index
/// that it came from.
#[derive(Debug)]
pub struct Entries {
    map: IndexMap,
    copy: Vec<u8>,
}

impl Index {
    /// What both headers say.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What makes bytes an entry of this index.
    pub fn seal(&self) -> &Seal {
        &self.seal
    }

    /// The header page of the offsets file.
    pub fn header(&self) -> &HeaderPage {
        self.offsets.header()
    }

    /// The directory that holds the files.
    pub fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    /// Path of the offsets file; for messages.
    pub fn offsets_path(&self) -> PathBuf {
        self.dir.path().join(OFFSETS)
    }

    /// Path of the index file; for messages.
    pub fn index_path(&self) -> PathBuf {
        self.dir.path().join(index_name(self.identity.generation))
    }

    /// Whether the path of the offsets file still names the file that is open here. If not, the index was compacted
    /// or made anew, and this one is history.
    pub fn is_current(&self) -> Result<bool> {
        Ok(self.dir.id_of(OFFSETS)? == Some(self.offsets_id))
    }

    /// Whether the offsets file is a copy that no writer has taken over: of another folder's, or from a back-up.
    pub fn is_copy(&self) -> bool {
        is_copy(self.header(), self.born_ns)
    }

    /// State of the whole index.
    pub fn marks(&self) -> Result<Marks> {
        self.header().marks().ok_or_else(|| self.bad_number(header::at::MARKS, "marks"))
    }

    /// Changes up to this one are no longer known one by one.
    pub fn oldest(&self) -> Result<u64> {
        self.header().oldest().ok_or_else(|| self.bad_number(header::at::OLDEST, "oldest change"))
    }

    /// Length of both files in bytes.
    pub fn bytes(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.offsets_file).map_err(Error::io("cannot stat", self.offsets_path()))?;
        Ok(self.index_len()? + stat.st_size as u64)
    }

    /// The messages published by now. Maps the offsets file again if it has grown.
    pub fn snapshot(&mut self) -> Result<Snapshot<'_>> {
        // The counter first: of a change that comes in between, the token then says "not yet seen".
        let counter = self.header().counter().ok_or_else(|| self.bad_number(header::at::COUNTER, "change counter"))?;
        let count = self.header().count().ok_or_else(|| self.bad_number(header::at::COUNT, "count"))?;
        if count > self.capacity() {
            self.remap(0)?;
        }
        self.check_count(count)?;
        Ok(Snapshot { index: self, count: count as u32, counter })
    }

    /// A count beyond the file is damage; of one of the two, nobody can tell which.
    fn check_count(&self, count: u64) -> Result<()> {
        let room = self.slots_mapped();
        if count <= room.into() {
            return Ok(());
        }
        let (found, expected) = (count.to_string(), format!("at most {room}, for which the file has room"));
        Err(self.damage(header::at::COUNT, "count", found, expected))
    }

    /// Slots that the mapped blocks have room for.
    pub fn capacity(&self) -> u64 {
        (self.offsets.blocks() * block::SLOTS) as u64
    }

    /// The same, as far as slot numbers go: there are no more slots than UIDs, however long the file was made.
    fn slots_mapped(&self) -> u32 {
        self.capacity().try_into().unwrap_or(u32::MAX)
    }

    /// Maps the file as long as it is now; an error if something else has cut it, for its slots are counted on.
    fn remap(&mut self, slots: u64) -> Result<()> {
        let failed = |source| Error::Io { path: self.offsets_path(), doing: "cannot map", source };
        let needed = self.offsets.blocks().max(slots.div_ceil(block::SLOTS as u64) as usize);
        self.offsets = OffsetsMap::new(&self.offsets_file, self.writable)
            .and_then(|map| {
                let whole = map.filter(|map| map.blocks() >= needed);
                whole.ok_or_else(|| std::io::Error::other("the file was cut short"))
            })
            .map_err(failed)?;
        Ok(())
    }

    /// The slot at a place, published or not; `None` beyond the map.
    pub fn slot(&self, no: SlotNo) -> Option<Slot<'_>> {
        self.offsets.block(no.block()).map(|block| Slot { index: self, block, no })
    }

    /// A reader of entries.
    pub fn entries(&self) -> Result<Entries> {
        Ok(Entries { map: self.map_entries()?, copy: Vec::new() })
    }

    /// A map of the index file as long as it is now.
    pub fn map_entries(&self) -> Result<IndexMap> {
        IndexMap::new(&self.entries_file).map_err(|source| Error::Io {
            path: self.index_path(),
            doing: "cannot map",
            source,
        })
    }

    fn bad_number(&self, at: u64, what: &str) -> Error {
        self.damage(at, what, "a wrong checksum".into(), "a number".into())
    }

    fn damage(&self, at: u64, what: &str, found: String, expected: String) -> Error {
        Error::Damaged(Damage { path: self.offsets_path(), at, what: what.into(), found, expected })
    }
}

impl<'a> Snapshot<'a> {
    /// Slots that were published, those of expunged mail with them.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The last change that is in it; a token for "what changed since".
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// The index.
    pub fn index(&self) -> &'a Index {
        self.index
    }

    /// All slots, in UID order.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = Slot<'a>> + ExactSizeIterator + use<'a> {
        let Snapshot { index, count, .. } = *self;
        (0..count).map(move |no| index.slot(SlotNo(no)).expect("a snapshot's slots are mapped"))
    }

    /// One published slot.
    pub fn slot(&self, no: SlotNo) -> Option<Slot<'a>> {
        if no.0 < self.count { self.index.slot(no) } else { None }
    }
}

impl<'a> Slot<'a> {
    /// Its place.
    pub fn no(&self) -> SlotNo {
        self.no
    }

    /// Flags and state, as they are now.
    #[inline]
    pub fn status(&self) -> Result<Status> {
        let word = self.block.status[self.no.row()].load();
        Status::decode(word).ok_or_else(|| self.damage(Column::Status, word))
    }

    /// The number of its last change.
    pub fn changed(&self) -> Result<u64> {
        Ok(self.last_change()?.number)
    }

    /// Its last change.
    #[inline]
    pub fn last_change(&self) -> Result<LastChange> {
        let word = self.block.changed[self.no.row()].load();
        LastChange::decode(word).ok_or_else(|| self.damage(Column::Changed, word))
    }

    /// Its UID.
    pub fn uid(&self) -> Result<Uid> {
        let word = self.block.uid[self.no.row()].load();
        block::decode_uid(word, &self.index.identity.id, self.no).ok_or_else(|| self.damage(Column::Uid, word))
    }

    /// Offset of its entry in the index file.
    pub fn entry_at(&self) -> u64 {
        self.block.entry_at[self.no.row()].load()
    }

    /// Hash of its base name.
    pub fn hash(&self) -> u64 {
        self.block.hash[self.no.row()].load()
    }

    /// Inode of its file when it was last listed; a hint.
    pub fn inode(&self) -> u64 {
        self.block.inode[self.no.row()].load()
    }

    pub(crate) fn block(&self) -> &'a Block {
        self.block
    }

    /// Offset of one of its words in the offsets file.
    pub fn at(&self, column: Column) -> u64 {
        column.at(self.no)
    }

    fn damage(&self, column: Column, found: u64) -> Error {
        let what = format!("{} of slot {}", column.name(), self.no.0);
        self.index.damage(self.at(column), &what, format!("{found:#018x}"), "a right checksum".into())
    }
}

/// The columns of a block, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Flags and state.
    Status,
    /// Change number.
    Changed,
    /// Offset of the entry.
    EntryAt,
    /// Hash of the base name.
    Hash,
    /// Inode.
    Inode,
    /// UID.
    Uid,
}

impl Column {
    /// All of them, in their order.
    pub const ALL: [Column; block::COLUMNS.len()] =
        [Column::Status, Column::Changed, Column::EntryAt, Column::Hash, Column::Inode, Column::Uid];

    /// Its place in the block.
    pub const fn field(self) -> &'static Field {
        &block::COLUMNS[self as usize]
    }

    /// Offset in the offsets file of its word of a slot.
    pub const fn at(self, no: SlotNo) -> u64 {
        (HEADER_LEN + no.block() * block::BLOCK_LEN + self.field().at + no.row() * 8) as u64
    }

    /// What it is called in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Column::Status => "status",
            Column::Changed => "change number",
            Column::EntryAt => "entry offset",
            Column::Hash => "base name hash",
            Column::Inode => "inode",
            Column::Uid => "uid",
        }
    }
}

/// The slot and the column of the word at an offset in the offsets file; `None` in its header page.
pub fn place_of(at: u64) -> Option<(SlotNo, Column)> {
    let at = usize::try_from(at).ok()?.checked_sub(HEADER_LEN)?;
    let (block, within) = (at / block::BLOCK_LEN, at % block::BLOCK_LEN);
    let column = Column::ALL.into_iter().rfind(|column| column.field().at <= within)?;
    let row = (within - column.field().at) / 8;
    Some((SlotNo((block * block::SLOTS + row) as u32), column))
}

impl Entries {
    /// The entry of a slot, verified: its own CRC, and that it is this slot's.
    pub fn read(&mut self, slot: &Slot<'_>) -> Result<Entry<'_>> {
        let uid = slot.uid()?;
        let at = slot.entry_at();
        if let Err(bad) = self.copy_out(slot.index, at) {
            return Err(self.damage(slot.index, at, uid, bad));
        }
        match slot.index.seal.open(&self.copy, at) {
            Ok(entry) if entry.uid == uid => Ok(entry),
            Ok(entry) => Err(damage_in(slot.index, at, uid, "uid", entry.uid.to_string(), uid.to_string())),
            Err(bad) => Err(self.damage(slot.index, at, uid, bad)),
        }
    }

    /// Copies the bytes of a slot's entry, verified, to be closed again elsewhere; returns the change number that brought
    /// it.
    pub(crate) fn copy_to(&mut self, slot: &Slot<'_>, bytes: &mut Vec<u8>) -> Result<u64> {
        let added = self.read(slot)?.added;
        bytes.clone_from(&self.copy);
        Ok(added)
    }

    /// How many bytes the entry of a slot takes, by its head alone.
    pub(crate) fn len_of(&mut self, slot: &Slot<'_>) -> Result<u64> {
        let (mut head, at) = ([0; 16], slot.entry_at());
        let len = self.copy_bytes(slot.index, at, &mut head).and_then(|()| slot.index.seal.claimed_len(&head));
        match len {
            Ok(len) => Ok(len as u64),
            Err(bad) => Err(self.damage(slot.index, at, slot.uid()?, bad)),
        }
    }

    /// The same without its text: what tells of a dead message that it is gone, and what another one has of it.
    pub(crate) fn shorten_to(&mut self, slot: &Slot<'_>, bytes: &mut Vec<u8>) -> Result<u64> {
        let entry = self.read(slot)?;
        bytes.clear();
        entry.without_text().write(bytes);
        Ok(entry.added)
    }

    fn copy_out(&mut self, index: &Index, at: u64) -> Result<(), BadEntry> {
        let mut head = [0; 16];
        self.copy_bytes(index, at, &mut head)?;
        let mut copy = std::mem::take(&mut self.copy);
        copy.resize(index.seal.claimed_len(&head)?, 0);
        let copied = self.copy_bytes(index, at, &mut copy);
        self.copy = copy;
        copied
    }

    /// Copies bytes out; maps the file again for entries that came after the map was made.
    fn copy_bytes(&mut self, index: &Index, at: u64, out: &mut [u8]) -> Result<(), BadEntry> {
        if self.map.copy(at, out) {
            return Ok(());
        }
        match index.map_entries() {
            Ok(map) if map.len() > self.map.len() => self.map = map,
            _ => {}
        }
        if self.map.copy(at, out) { Ok(()) } else { Err(BadEntry::Len(out.len() as u32)) }
    }

    fn damage(&self, index: &Index, at: u64, uid: Uid, bad: BadEntry) -> Error {
        let (what, found, expected) = describe(bad, at, self.map.len());
        damage_in(index, at, uid, what, found, expected)
    }
}

/// Whether the header is that of a file born at another time.
fn is_copy(header: &HeaderPage, born_ns: Option<i64>) -> bool {
    matches!((header.born(), born_ns), (Some(then), Some(now)) if then != now)
}

fn damage_in(index: &Index, at: u64, uid: Uid, what: &str, found: String, expected: String) -> Error {
    let what = format!("{what} of the entry of UID {uid}");
    Error::Damaged(Damage { path: index.index_path(), at, what, found, expected })
}

/// What is wrong with bytes that should be an entry: field, found, expected.
pub(crate) fn describe(bad: BadEntry, at: u64, file_len: u64) -> (&'static str, String, String) {
    if at.saturating_add(ENTRY_MIN as u64) > file_len {
        return ("marker", format!("the end of the file, at {file_len}"), "the marker of this file".into());
    }
    match bad {
        BadEntry::Marker => ("marker", "other bytes".into(), "the marker of this file".into()),
        BadEntry::Len(len) => ("length", len.to_string(), format!("one that fits a file of {file_len} bytes")),
        BadEntry::Crc(found, expected) => ("crc", format!("{found:#010x}"), format!("{expected:#010x}")),
        BadEntry::Fields => ("fields", "lengths or text that cannot be".into(), "an entry".into()),
    }
}
