//! Each slot: its own words, its entry, and its neighbours.

use super::{Check, Row};
use crate::error::Result;
use crate::format::block::COLUMNS;
use crate::format::header::{HeaderPage, at};
use crate::format::{SlotNo, Uid};
use crate::index::Column;

impl Check<'_> {
    pub(super) fn slots(&mut self) -> Result<()> {
        let Some(header) = self.header() else { return Ok(()) };
        let counter = self.counter();
        let count = header.count().unwrap_or(0).min(self.room()).min(u32::MAX.into()) as u32;
        let (mut last, mut bases) = (0, Vec::new());
        for no in (0..count).map(SlotNo) {
            let Some(row) = Row::load(&self.index, no) else { break };
            let before = self.checked.damage;
            self.words(&row);
            self.order(&row, &mut last);
            if let Some(hash) = self.entry_of(&row)?
                && row.live().is_some()
            {
                bases.push((hash, row.uid.map_or(0, Uid::get), no));
            }
            self.uids.push(row.uid.map_or(0, Uid::get));
            self.checked.messages += usize::from(row.live().is_some() && self.checked.damage == before);
        }
        self.twice(bases, counter);
        self.behind_count(count);
        Ok(())
    }

    /// Words that carry a checksum of their own.
    fn words(&mut self, row: &Row) {
        let is_sound = [
            (Column::Uid, row.uid.is_some()),
            (Column::Changed, row.changed.is_some()),
            (Column::Status, row.status.is_some()),
        ];
        for (column, _) in is_sound.into_iter().filter(|(_, is_sound)| !is_sound) {
            let what = format!("{} of slot {}", column.name(), row.no.0);
            let found = format!("{:#018x}", row.raw[column as usize]);
            self.word("word", column.at(row.no), &what, found, "a right checksum");
        }
        let no = row.no;
        let _ = self.disagreement("change", |check| {
            let (changed, counter) = (Row::load(&check.index, no)?.changed?.number, check.counter()?);
            let what = format!("change number of slot {}", no.0);
            let expected = format!("at most the change counter, {counter}");
            (changed > counter).then(|| check.wrong(Column::Changed.at(no), &what, changed.to_string(), expected))
        });
    }

    fn order(&mut self, row: &Row, last: &mut u32) {
        let Some(uid) = row.uid else { return };
        if uid.get() <= *last {
            let (what, expected) =
                (format!("uid of slot {}", row.no.0), format!("more than {last}, the UID before it"));
            self.word("order", Column::Uid.at(row.no), &what, uid.to_string(), expected);
        }
        *last = uid.get().max(*last);
    }

    /// The entry that the slot leads to; the hash of its base name, if that proves itself.
    fn entry_of(&mut self, row: &Row) -> Result<Option<u64>> {
        let (Some(uid), mut copy) = (row.uid, Vec::new()) else { return Ok(None) };
        let Some(identity) = self.index.identity().cloned() else { return Ok(None) };
        if row.entry_at.saturating_add(16) > self.entries_len() {
            self.index.look_again()?; // a writer may have added it since
        }
        let (hash, added) = match self.index.entry(row.entry_at, &mut copy) {
            None => return Ok(None),
            Some(Ok(entry)) if entry.uid == uid => (identity.hash(entry.base), entry.added),
            Some(Ok(entry)) => {
                let (found, expected) = (entry.uid.to_string(), uid.to_string());
                let what = format!("uid of the entry of UID {uid}");
                let path = self.index.index_path();
                let damage = crate::error::Damage { path, at: row.entry_at, what, found, expected };
                self.damage("entry", damage);
                return Ok(None);
            }
            Some(Err(bad)) => {
                let damage = self.index.bad_entry(row.entry_at, &format!("the entry of UID {uid}"), bad);
                self.damage("entry", damage);
                return Ok(None);
            }
        };
        let (no, entry_at) = (row.no, row.entry_at);
        let _ = self.disagreement("hash", |check| {
            let row = Row::load(&check.index, no).filter(|row| row.entry_at == entry_at)?;
            let (is, should) = (format!("{:#018x}", row.hash), format!("{hash:#018x}"));
            let what = format!("base name hash of slot {}", no.0);
            (row.hash != hash).then(|| check.wrong(Column::Hash.at(no), &what, is, should))
        });
        let _ = self.disagreement("change", |check| {
            let counter = check.counter()?;
            let what = format!("change number of the entry of UID {uid}");
            let expected = format!("at most the change counter, {counter}");
            let damage = check.wrong(entry_at, &what, added.to_string(), expected);
            let path = check.index.index_path();
            (added > counter).then_some(crate::error::Damage { path, ..damage })
        });
        Ok(Some(hash))
    }

    /// Two live messages of one base name.
    fn twice(&mut self, mut bases: Vec<(u64, u32, SlotNo)>, counter: Option<u64>) {
        bases.sort_unstable();
        for pair in bases.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let [(_, other, _), (_, uid, no)] = [pair[0], pair[1]];
            if !self.is_calm() || self.counter() != counter {
                self.undecided += 1;
                continue;
            }
            let what = format!("base name of slot {}", no.0);
            self.word("twice", Column::Hash.at(no), &what, format!("UID {other} and UID {uid}"), "one live UID");
        }
    }

    /// Nothing stands behind the slots that were published, but what a writer has not yet come to publish.
    fn behind_count(&mut self, count: u32) {
        let Some(header) = self.header() else { return };
        if header.count() != Some(count.into()) {
            return; // told above, or somebody publishes just now
        }
        let (mut valid, mut stray) = (None, 0);
        for no in (count..self.room().min(u32::MAX.into()) as u32).map(SlotNo) {
            let Some(row) = Row::load(&self.index, no) else { break };
            if no.row() == 0 && row.raw == [0; COLUMNS.len()] {
                break; // blocks are filled one after the other; the file may be made much longer by others
            }
            if row.uid.is_some() {
                valid = valid.or(Some(row));
            } else {
                stray += usize::from(row.raw != [0; COLUMNS.len()]);
            }
        }
        if let Some(Row { no, uid: Some(uid), .. }) = valid {
            let _ = self.disagreement("count", |check| {
                let now = check.header().and_then(HeaderPage::count)?;
                let expected = format!("more than {}, for that slot holds UID {uid}", no.0);
                (now <= no.0.into()).then(|| check.wrong(at::COUNT, "count", now.to_string(), expected))
            });
        }
        if stray > 0 && self.is_calm() && self.header().and_then(HeaderPage::count) == Some(count.into()) {
            let what = format!("{stray} slots that were never published hold something");
            self.note("stray", self.index.offsets_path(), Some(Column::Status.at(SlotNo(count))), what);
        }
    }
}
