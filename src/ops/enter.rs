//! Takes mail into the index of the folder that it was just put into, without a refresh: what is known of one file is
//! entered, and what else has happened in the folder is left to the next look.

use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use crate::error::Result;
use crate::folder::Folder;
use crate::format::Uid;
use crate::format::entry::Entry;
use crate::format::status::Status;
use crate::index::Entries;
use crate::index::find::ByBase;
use crate::index::publish::{BATCH, Writer};
use crate::lock::Lock;
use crate::maildir::name::Name;
use crate::maildir::{Maildir, Sub, open_mail};
use crate::refresh::read::read_one;

/// From so many mails on a table of base names pays.
pub(crate) const MANY: usize = 4;

/// An index that mail is entered into, under the lock.
pub(crate) struct Entering<'a> {
    maildir: &'a Maildir,
    writer: Writer<'a>,
    entries: Entries,
    by_base: Option<ByBase>,
    looked_up: usize,
    batch: Instant,
}

impl<'a> Entering<'a> {
    pub(crate) fn begin(folder: &'a Folder, lock: &'a Lock) -> Result<Entering<'a>> {
        let writer = Writer::new(folder.index_to_change()?, lock)?;
        let entries = writer.index().entries()?;
        Ok(Entering { maildir: folder.maildir(), writer, entries, by_base: None, looked_up: 0, batch: Instant::now() })
    }

    /// The UID of a mail, which it has already if somebody else has been quicker. `None` if the mail is no longer there
    /// under this name or cannot be read, or another one has its base name: then a refresh, which sees the whole folder, is
    /// to say.
    ///
    /// That it is there is looked at under the lock. So whoever takes it away later changes the directory after the last
    /// refresh, and the next one will see that.
    pub(crate) fn enter(&mut self, sub: Sub, name: &[u8]) -> Result<Option<Uid>> {
        let opened = self.maildir.sub(sub).map(|dir| open_mail(&dir, name));
        let Ok(Ok((file, stat))) = opened else { return Ok(None) };
        let parsed = Name::parse(name);
        if let Some((uid, inode)) = self.known(parsed.base)? {
            return Ok((inode == stat.st_ino).then_some(uid));
        }
        let inode = file.metadata().map_or(stat.st_ino, |meta| meta.ino());
        let Ok((size, received_ns, summary)) = read_one(file) else { return Ok(None) };
        let mut status = Status::of_name(sub, &parsed);
        if size == 0 {
            status = status.with(Status::EMPTY);
        }
        let mut bytes = Vec::new();
        Entry::new(parsed.base, received_ns, size, &summary).write(&mut bytes);
        let hash = self.writer.index().identity().hash(parsed.base);
        self.writer.add(&mut bytes, status, hash, inode).map(Some)
    }

    /// UID and inode of the live message with a base name.
    fn known(&mut self, base: &[u8]) -> Result<Option<(Uid, u64)>> {
        self.looked_up += 1;
        let snapshot = self.writer.snapshot()?;
        let slot = if self.looked_up < MANY {
            snapshot.find_base(base, &mut self.entries)?
        } else {
            let by_base = match &mut self.by_base {
                Some(by_base) => by_base,
                none => none.insert(ByBase::new(&snapshot)?),
            };
            by_base.find(base, &snapshot, &mut self.entries)?
        };
        slot.map(|slot| Ok((slot.uid()?, slot.inode()))).transpose()
    }

    /// Makes visible what was entered so far.
    pub(crate) fn publish(&mut self) -> Result<()> {
        self.writer.publish()?;
        self.batch = Instant::now();
        Ok(())
    }

    pub(crate) fn batch_is_full(&self) -> bool {
        self.batch.elapsed() > BATCH
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.writer.finish()
    }
}
