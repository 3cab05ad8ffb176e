//! A new generation: both files written whole, then put in place by one rename.
//!
//! Used for a new index, for one whose other half was lost, and for one that a failed sync has spoilt. The index file
//! gets its header last and its name when it is complete, so a file of that name always has a header. The rename of the
//! offsets file is the commit; before it the old generation is the true one, whatever else lies there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::dir::{Access, Dir, born_ns};
use crate::error::{Error, Result};
use crate::format::SlotNo;
use crate::format::block::{self, BLOCK_LEN};
use crate::format::entry::Seal;
use crate::format::header::{BORN_LEN, HEADER_LEN, Identity, Kind, Marks, RECORD_LEN, encode_born};
use crate::format::word::LastChange;
use crate::index::append::{Tail, reserve};
use crate::index::open::too_short;
use crate::index::publish::SlotData;
use crate::index::{OFFSETS, index_name};
use crate::lock::Lock;
use crate::maildir::Sub;
use crate::maildir::listing::Stamp;
use crate::map::OffsetsMap;
use crate::system::{self, boot_id};

const INDEX_TMP: &str = "maildex.index.tmp";
const OFFSETS_TMP: &str = "maildex.offsets.tmp";

/// What the header page of a new generation starts with.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// The last change number.
    pub counter: u64,
    /// Changes up to this one are not known one by one.
    pub oldest: u64,
    /// Whether a first build has finished.
    pub complete: bool,
    /// The stamps of `new/` and `cur/` that are still good.
    pub stamps: [Option<Stamp>; 2],
}

impl Start {
    /// For an index whose history is not known: a change counter above any that was ever given out.
    pub fn without_history(last_counter: u64, complete: bool) -> Start {
        let counter = counter_after(last_counter);
        Start { counter, oldest: counter, complete, stamps: [None, None] }
    }
}

/// A change counter for after a crash, above all that were given out before it: the clock, or one more.
pub(crate) fn counter_after(last: u64) -> u64 {
    let now = system::now();
    let micros = u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000 + now.tv_nsec as u64 / 1000;
    micros.max(last.saturating_add(1)).min(LastChange::MAX - 1)
}

/// A generation that is being written.
#[derive(Debug)]
pub struct NewGeneration<'l> {
    dir: Arc<Dir>,
    lock: &'l Lock,
    access: Access,
    identity: Identity,
    seal: Seal,
    file: File,
    tail: Tail,
    slots: Vec<(SlotData, LastChange)>,
    committed: bool,
}

/// The header of an index that never was. UIDVALIDITY is the time in seconds, as is usual.
///
/// An index that was removed by hand a moment ago may have got the same one. Its removal has changed the folder's mtime,
/// so where that (`touched`, in seconds, from before the lock was taken) lies in the current second, this waits for the
/// next one.
pub fn first_identity(touched: i64) -> Identity {
    let seconds = loop {
        let now = system::now();
        if now.tv_sec != touched {
            break u32::try_from(now.tv_sec).unwrap_or(u32::MAX).max(1);
        }
        std::thread::sleep(Duration::from_nanos(1_000_000_000 - now.tv_nsec as u64));
    };
    Identity {
        id: system::random(),
        generation: 1,
        marker: new_marker(),
        hash_key: system::random(),
        uid_validity: seconds,
        uid_floor: 0,
    }
}

/// Random bytes with a NUL, which no file name holds, and an 0xFF, which no UTF-8 holds.
pub(crate) fn new_marker() -> [u8; 8] {
    let mut marker: [u8; 8] = system::random();
    marker[1] = 0;
    marker[2] = 0xff;
    marker
}

impl<'l> NewGeneration<'l> {
    /// Begins to write; nothing is seen of it before [`NewGeneration::commit`].
    pub fn begin(dir: &Arc<Dir>, lock: &'l Lock, access: Access, identity: Identity) -> Result<NewGeneration<'l>> {
        dir.unlink(INDEX_TMP)?;
        dir.unlink(OFFSETS_TMP)?;
        let file = dir.create_file(INDEX_TMP, &access)?;
        let seal = Seal::new(&identity.id, identity.marker);
        Ok(NewGeneration {
            dir: Arc::clone(dir),
            lock,
            access,
            identity,
            seal,
            file,
            tail: Tail::new(HEADER_LEN as u64),
            slots: Vec::new(),
            committed: false,
        })
    }

    /// Adds a message; in UID order. `bytes` are those of an entry, from [`Entry::write`](crate::format::entry::Entry).
    pub fn push(&mut self, bytes: &mut [u8], added: u64, changed: LastChange, data: SlotData) -> Result<()> {
        debug_assert!(self.slots.last().is_none_or(|(last, _)| last.uid < data.uid), "slots are in UID order");
        let entry_at = self.tail.end();
        self.seal.close(bytes, entry_at, data.uid, added);
        self.tail.push(bytes);
        self.slots.push((SlotData { entry_at, ..data }, changed));
        if self.tail.is_large() { self.write_entries() } else { Ok(()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write_entries(&mut self) -> Result<()> {
        self.tail.write(&self.file, || self.dir.path().join(INDEX_TMP))
    }

    /// Puts both files in place and removes the index files of other generations. Returns the length of both in bytes.
    pub fn commit(mut self, start: &Start) -> Result<u64> {
        self.write_entries()?;
        let path = self.path(INDEX_TMP);
        sync(&self.file, &path)?;
        let mut header = [0; HEADER_LEN];
        let record = self.identity.encode(Kind::Index);
        header[..record.len()].copy_from_slice(&record);
        if let Some(born_ns) = born_ns(&self.file) {
            header[RECORD_LEN..][..BORN_LEN].copy_from_slice(&encode_born(born_ns));
        }
        self.file.write_all_at(&header, 0).map_err(|source| Error::Io {
            path: path.clone(),
            doing: "cannot write",
            source,
        })?;
        sync(&self.file, &path)?;
        let offsets_len = self.write_offsets(start)?;
        self.lock.check()?;
        self.dir.rename(INDEX_TMP, index_name(self.identity.generation))?;
        self.dir.sync()?;
        self.dir.rename(OFFSETS_TMP, OFFSETS)?;
        self.committed = true;
        self.dir.sync()?;
        remove_others(&self.dir, self.identity.generation)?;
        Ok(self.tail.end() + offsets_len)
    }

    fn write_offsets(&self, start: &Start) -> Result<u64> {
        let path = self.path(OFFSETS_TMP);
        let file = self.dir.create_file(OFFSETS_TMP, &self.access)?;
        let blocks = self.slots.len().div_ceil(block::SLOTS);
        let len = (HEADER_LEN + blocks * BLOCK_LEN) as u64;
        reserve(&file, 0, len, false).map_err(Error::io("cannot allocate", &path))?;
        let map = OffsetsMap::new(&file, true).map_err(|source| Error::Io {
            path: path.clone(),
            doing: "cannot map",
            source,
        })?;
        // It was just made long enough; somebody else may have cut it.
        let map = map.filter(|map| map.blocks() >= blocks).ok_or_else(|| too_short(path.clone(), &file))?;
        for (no, (data, changed)) in (0..).map(SlotNo).zip(&self.slots) {
            let block = map.block(no.block()).expect("so many blocks are mapped");
            data.store_in(block, no, *changed, &self.identity.id);
        }
        let header = map.header();
        header.set_record(&self.identity.encode(Kind::Offsets));
        header.set_count(self.slots.len() as u64);
        header.set_accounted(self.tail.end());
        header.set_counter(start.counter);
        header.set_oldest(start.oldest);
        header.set_boot(&boot_id()?);
        if let Some(born_ns) = born_ns(&file) {
            header.set_born(born_ns);
        }
        for (sub, stamp) in Sub::ALL.into_iter().zip(start.stamps) {
            if let Some(stamp) = stamp {
                header.set_stamp(sub, &stamp);
            }
        }
        // Who begins a generation goes on to write in it. If killed before, somebody must remove what is left of the
        // old one, see `recover`.
        header.set_marks(if start.complete { Marks::WRITING.with(Marks::COMPLETE) } else { Marks::WRITING });
        sync(&file, &path)?;
        Ok(len)
    }
}

/// What did not come to an end takes no space, above all where the disk is full. A killed one's is left to the next.
impl Drop for NewGeneration<'_> {
    fn drop(&mut self) {
        if !self.committed && self.lock.check().is_ok() {
            let _ = self.dir.unlink(INDEX_TMP);
            let _ = self.dir.unlink(OFFSETS_TMP);
        }
    }
}

/// Removes what a killed writer may have left beside a generation: the index files of others, and unfinished ones.
pub(crate) fn remove_others(dir: &Dir, named: u64) -> Result<()> {
    dir.unlink(INDEX_TMP)?;
    dir.unlink(OFFSETS_TMP)?;
    for generation in generations(dir)? {
        if generation != named {
            dir.unlink(&index_name(generation))?;
        }
    }
    Ok(())
}

fn sync(file: &File, path: &std::path::Path) -> Result<()> {
    rustix::fs::fsync(file).map_err(Error::io("cannot sync", path))
}

/// The generations of which there is an index file, rising.
pub(crate) fn generations(dir: &Dir) -> Result<Vec<u64>> {
    let mut found: Vec<_> = dir.names()?.iter().filter_map(|name| generation_of(name.to_str()?)).collect();
    found.sort_unstable();
    Ok(found)
}

/// The generation whose index file has this name.
fn generation_of(name: &str) -> Option<u64> {
    let text = name.strip_prefix("maildex.index.")?;
    // The name must be the one that we would give: not 01, not +1.
    text.parse().ok().filter(|&number: &u64| number.to_string() == text && number < u64::MAX / 2)
}

/// Whether it is the name of a file that is being made.
pub(crate) fn is_temporary(name: &str) -> bool {
    [OFFSETS_TMP, INDEX_TMP].contains(&name)
}

/// Whether it is the name of a file of an index, whole or half made.
pub(crate) fn is_file_name(name: &str) -> bool {
    name == OFFSETS || is_temporary(name) || generation_of(name).is_some()
}
