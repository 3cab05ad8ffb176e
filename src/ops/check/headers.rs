//! The headers of both files, and the words of the offsets file's header page.

use super::Check;
use crate::error::Result;
use crate::format::block::{BLOCK_LEN, SLOTS};
use crate::format::header::{BORN_LEN, HEADER_LEN, HeaderPage, Kind, Marks, RECORD_LEN, at, decode_born};
use crate::index::generation::{generations, is_temporary};
use crate::index::open::read_identity;
use crate::index::{OFFSETS, index_name};
use crate::maildir::Sub;

impl Check<'_> {
    pub(super) fn headers(&mut self) -> Result<()> {
        for damage in self.index.damage().to_vec() {
            self.damage("header", damage);
        }
        self.leftovers()?;
        self.header_words();
        self.header_marks();
        self.stray_bytes();
        Ok(())
    }

    /// Files of ours that a killed writer left.
    fn leftovers(&mut self) -> Result<()> {
        let Some(named) = self.index.generation() else { return Ok(()) };
        for generation in generations(self.folder.dir())? {
            if generation != named {
                let name = index_name(generation);
                let what = if self.is_of_another(&name)? {
                    format!("of another index than {OFFSETS}, and nothing proves which of them is this folder's")
                } else {
                    format!("not named by {OFFSETS}; the next build removes it")
                };
                self.note("left-over", self.folder.file(&name), None, what);
            }
        }
        if !super::is_free(self.folder)? {
            return Ok(()); // half made files are those of a writer at work
        }
        for name in self.folder.dir().names()? {
            if let Some(name) = name.to_str().filter(|name| is_temporary(name)) {
                let what = "left by a writer that was killed; the next build removes it";
                self.note("left-over", self.folder.file(name), None, what);
            }
        }
        Ok(())
    }

    /// Whether an index file is of another index, and nothing says that the offsets file is of this folder.
    fn is_of_another(&self, name: &str) -> Result<bool> {
        let Some(file) = self.folder.dir().open_file(name, false)? else { return Ok(false) };
        let own = read_identity(&file, Kind::Index, self.folder.file(name)).ok();
        let is_other = own.zip(self.index.identity()).is_some_and(|(own, named)| own.id != named.id);
        Ok(is_other && self.index.is_copy())
    }

    /// Words with a checksum of their own, and what they say together.
    fn header_words(&mut self) {
        let Some(header) = self.header() else { return };
        let (count, counter, oldest) = (header.count(), header.counter(), header.oldest());
        let (marks, accounted) = (header.marks(), header.accounted());
        let is_known = [
            (at::COUNT, "count", count.is_some()),
            (at::COUNTER, "change counter", counter.is_some()),
            (at::OLDEST, "oldest change", oldest.is_some()),
            (at::MARKS, "marks", marks.is_some()),
            (at::ACCOUNTED, "accounted bytes", accounted.is_some()),
        ];
        for (at, what, _) in is_known.iter().filter(|(.., is_known)| !is_known) {
            self.word("word", *at, what, "a wrong checksum", "a number");
        }
        let _ = self.disagreement("oldest", |check| {
            let (counter, oldest) = (check.counter()?, check.header()?.oldest()?);
            let expected = format!("at most the change counter, {counter}");
            (oldest > counter).then(|| check.wrong(at::OLDEST, "oldest change", oldest.to_string(), expected))
        });
        if let Some(count) = count
            && self.look_again_unless(|check| count <= check.room())
        {
            let expected = format!("at most {}, for which the file has room", self.room());
            self.word("count", at::COUNT, "count", count.to_string(), expected);
        }
        if let Some(accounted) = accounted
            && self.index.entries().is_some()
            && self.look_again_unless(|check| accounted <= check.entries_len())
        {
            let expected = format!("at most {}, the length of {}", self.entries_len(), self.index_name());
            self.word("accounted", at::ACCOUNTED, "accounted bytes", accounted.to_string(), expected);
        }
    }

    /// Slots that the offsets file has room for.
    pub(super) fn room(&self) -> u64 {
        (self.index.blocks() * SLOTS) as u64
    }

    pub(super) fn entries_len(&self) -> u64 {
        self.index.entries().map_or(0, |(_, map)| map.len())
    }

    fn index_name(&self) -> String {
        index_name(self.index.generation().unwrap_or(1))
    }

    /// Whether it still is not so when the files are mapped as long as they are now.
    pub(super) fn look_again_unless(&mut self, holds: impl Fn(&Self) -> bool) -> bool {
        !holds(self) && (self.index.look_again().is_err() || !holds(self))
    }

    /// What a crash can tear, and what the marks say.
    fn header_marks(&mut self) {
        let Some(header) = self.header() else { return };
        let path = self.index.offsets_path();
        let marks = header.marks().unwrap_or(Marks::COMPLETE);
        let (has_boot, has_birth) = (header.boot().is_some(), header.born().is_some() || header.has_no_birth());
        let torn = Sub::ALL.map(|sub| header.stamp(sub).is_none() && !header.has_no_stamp(sub));
        if !has_boot {
            let what = "boot id of the last writer: torn, as by a crash; the next build recovers";
            self.note("torn", path.clone(), Some(at::BOOT), what);
        }
        if !has_birth {
            let what = "birth of the offsets file: torn, as by a crash; the next build writes it again";
            self.note("torn", path.clone(), Some(at::BORN), what);
        }
        if self.index.is_copy() {
            let what =
                "a copy, of another folder's index or from a back-up; the next build takes it over, and skips UIDs";
            self.note_with("copy", path.clone(), Some(at::BORN), what, Some(self.build()));
        }
        for (sub, is_torn) in Sub::ALL.into_iter().zip(torn) {
            if is_torn {
                let what =
                    format!("stamp of {}: torn, as by a crash; the next build lists the directory", sub.as_str());
                self.note("torn", path.clone(), Some(at::STAMPS[sub as usize]), what);
            }
        }
        let told = [
            (marks.has(Marks::WRITING), "writing", "a writer is at work, or was killed; the next one completes it"),
            (marks.has(Marks::FAILED), "failed", "a sync failed; the next build writes the files anew"),
            (!marks.has(Marks::COMPLETE), "unfinished", "the first build has not finished"),
        ];
        for (_, kind, what) in told.into_iter().filter(|(holds, ..)| *holds) {
            self.note_with(kind, path.clone(), Some(at::MARKS), what, Some(self.build()));
        }
    }

    /// Bytes that nothing reads: no damage to the index, but perhaps a sign of a failing disk.
    fn stray_bytes(&mut self) {
        let stray = self.header().map_or(0, HeaderPage::stray);
        if stray > 0 {
            let what = format!("{stray} bytes of the header page that nothing uses are not zero");
            self.note("stray", self.index.offsets_path(), None, what);
        }
        let mut page = [0; HEADER_LEN];
        let is_whole = self.index.entries().is_some_and(|(_, map)| map.copy(0, &mut page));
        let stray = page[RECORD_LEN + BORN_LEN..].iter().filter(|&&byte| byte != 0).count();
        if is_whole && stray > 0 {
            let what = format!("{stray} bytes of the header page that nothing uses are not zero");
            self.note("stray", self.index.index_path(), None, what);
        }
        let born = page[RECORD_LEN..][..BORN_LEN].try_into().expect("16 bytes of the page");
        if is_whole && born != [0; BORN_LEN] && decode_born(born).is_none() {
            let what = "birth of the index file: torn, or damaged; it matters only if the offsets file is lost";
            self.note("torn", self.index.index_path(), Some(RECORD_LEN as u64), what);
        }
        let len = self.index.offsets_len();
        let torn = len.map_or(0, |len| len.saturating_sub(HEADER_LEN as u64) % BLOCK_LEN as u64);
        if torn > 0 {
            let what = format!("the last {torn} bytes are less than a block, which has {BLOCK_LEN}");
            self.note("stray", self.index.offsets_path(), len.map(|len| len - torn), what);
        }
    }
}
