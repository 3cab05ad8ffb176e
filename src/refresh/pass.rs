//! One refresh: passes over the folder until nothing is in doubt.
//!
//! A pass lists, compares, reads what is new, and publishes. Mail that was missing for the first time, or vanished before
//! it could be read, makes another pass necessary, over both directories.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType};

use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::format::SlotNo;
use crate::format::header::Marks;
use crate::format::status::Status;
use crate::index::Entries;
use crate::index::publish::{BATCH, SlotData, Writer};
use crate::lock::Lock;
use crate::maildir::listing::{Listing, Stamp};
use crate::maildir::{Sub, is_same_time, name};
use crate::refresh::join::{Candidate, Listings, Names, Plan, Task};
use crate::refresh::read::{Mail, Outcome, Request, Subs, read_all};
use crate::refresh::{End, OnProgress, Options, Progress, SoFar, is_elsewhere};

/// Who had to wait for the lock keeps it at least so many times as long as it took to open, list and compare everything.
const WORTH_A_START: u32 = 4;

/// Passes over the folder before mail that is renamed all the time is left for the next refresh.
const MAX_PASSES: usize = 10;

/// The guard judges only folders with more messages than this.
pub(crate) const GUARDED_FROM: usize = 20;

/// One refresh, under the lock.
pub(crate) struct Refresh<'a> {
    folder: &'a Folder,
    options: Options,
    lock: &'a Lock,
    writer: Writer<'a>,
    entries: Entries,
    so_far: &'a mut SoFar,
    /// The index, or the mail, was copied: times of delivery may be others, and inodes are.
    is_copy: bool,
    /// This turn is not given up before.
    turn: Option<Duration>,
    /// Messages that the last listing did not have, and how many in a row did not.
    missing_before: HashMap<SlotNo, usize>,
    progress: OnProgress<'a>,
}

/// What a pass found out beside what it changed.
struct Pass {
    stamps: [Option<Stamp>; 2],
    /// Directories that the next refresh must list, whatever their stamps say.
    unsettled: [bool; 2],
    again: bool,
    /// `new/` did not change from before the listings until after: together they are the folder at one moment.
    at_one_moment: bool,
}

impl<'a> Refresh<'a> {
    pub(crate) fn new(
        folder: &'a Folder,
        options: Options,
        lock: &'a Lock,
        writer: Writer<'a>,
        so_far: &'a mut SoFar,
        progress: OnProgress<'a>,
    ) -> Result<Refresh<'a>> {
        let entries = writer.index().entries()?;
        let recorded = Sub::ALL.map(|sub| writer.index().header().stamp(sub));
        let is_copy = so_far.report.copied || is_elsewhere(folder, recorded)?;
        Ok(Refresh {
            folder,
            options,
            lock,
            writer,
            entries,
            so_far,
            is_copy,
            turn: None,
            missing_before: HashMap::new(),
            progress,
        })
    }

    /// Publishes the rest.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.writer.publish()?;
        if !self.options.uncounted {
            self.so_far.report.total = self.writer.live()?;
        }
        self.writer.finish()
    }

    pub(crate) fn run(&mut self) -> Result<End> {
        let mut stamps = self.stamps_now()?;
        let mut listed = [true, true];
        if !self.options.full {
            for sub in Sub::ALL {
                let recorded = self.writer.index().header().stamp(sub);
                listed[sub as usize] = match (recorded, stamps[sub as usize]) {
                    (Some(recorded), Some(now)) => !recorded.proves(&now),
                    _ => true,
                };
            }
        }
        for pass_no in 1..=MAX_PASSES {
            if listed == [false, false] {
                break;
            }
            let pass = match self.pass(stamps, listed)? {
                ControlFlow::Continue(pass) => pass,
                ControlFlow::Break(end) => return Ok(end),
            };
            let again = pass.again && pass_no < MAX_PASSES;
            if !again {
                self.record(&pass, listed)?;
                break;
            }
            (stamps, listed) = (self.stamps_now()?, [true, true]);
        }
        if !self.writer.index().marks()?.has(Marks::COMPLETE) {
            self.writer.publish()?;
            self.writer.edit_header(|header| {
                let marks = header.marks().unwrap_or(Marks::WRITING);
                header.set_marks(marks.with(Marks::COMPLETE));
            })?;
        }
        Ok(End::Whole)
    }

    fn stamps_now(&self) -> Result<[Option<Stamp>; 2]> {
        let root = self.folder.maildir().root();
        Ok([Stamp::now(root, Sub::New)?, Stamp::now(root, Sub::Cur)?])
    }

    /// One listing, compared with the index.
    fn pass(&mut self, stamps: [Option<Stamp>; 2], listed: [bool; 2]) -> Result<ControlFlow<End, Pass>> {
        let (dirs, listings, at_one_moment) = self.list(stamps, listed)?;
        // Every pass meets these again.
        self.so_far.report.unnumbered = 0;
        (self.so_far.report.empty, self.so_far.report.unreadable, self.so_far.report.guarded) = (0, Vec::new(), None);
        self.so_far.report.odd = listings
            .iter()
            .zip(Sub::ALL)
            .flat_map(|(listing, sub)| listing.iter().flat_map(move |l| l.odd.iter().map(move |odd| (sub, odd))))
            .map(|(sub, (name, what))| (self.folder.maildir().path_of(sub, name), *what))
            .collect();
        let identity = self.writer.index().identity().clone();
        let mut names = Names::collect(&listings, |base| identity.hash(base));
        let twins = self.settle_twins(&mut names)?;
        let mut pass = Pass { stamps, unsettled: [false, false], again: false, at_one_moment };
        // A twin must stay in sight: one of the two is not indexed, and one day the other may be gone.
        for (first, second) in &twins {
            pass.unsettled[first.sub as usize] = true;
            pass.unsettled[second.sub as usize] = true;
        }
        let compared = self.so_far.compared.as_ref().map(|(seconds, base)| (*seconds, &**base));
        let thorough = |name: &[u8]| {
            self.options.full && compared.is_none_or(|compared| name::arrival(name::base_of(name)) > compared)
        };
        let plan = names.join(&self.writer.snapshot()?, &mut self.entries, &thorough)?;
        if plan.needs_both {
            pass.again = true;
            return Ok(ControlFlow::Continue(pass));
        }
        self.so_far.report.twins = twins
            .iter()
            .map(|(first, second)| {
                let path =
                    |candidate: &Candidate| self.folder.maildir().path_of(candidate.sub, names.listed(candidate).name);
                (path(first), path(second))
            })
            .collect();
        self.carry_out(&names, plan, &dirs, pass)
    }

    /// Lists the directories that are wanted; new/ once more if it changed meanwhile, for mail that came back from cur/.
    /// Also says whether the listings are of one moment.
    fn list(&self, stamps: [Option<Stamp>; 2], listed: [bool; 2]) -> Result<(Subs, Listings, bool)> {
        let maildir = self.folder.maildir();
        let mut dirs: Subs = [None, None];
        let mut listings: Listings = [None, None];
        let before = stamps[Sub::New as usize];
        let can_tell = before.is_none_or(|before| before.has_ticked());
        for sub in Sub::ALL {
            if stamps[sub as usize].is_some() {
                let dir = maildir.sub(sub)?;
                if listed[sub as usize] {
                    listings[sub as usize] = Some(Listing::read(&dir)?);
                }
                dirs[sub as usize] = Some(dir);
            } else if listed[sub as usize] {
                // Not there: every mail in it is missing. Whether that is believed is for the guard to say.
                listings[sub as usize] = Some(Listing::default());
            }
        }
        let now = Stamp::now(maildir.root(), Sub::New)?;
        let unchanged = match (&before, &now) {
            (Some(before), Some(now)) => before.is_same_state(now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if let (Some(dir), true, false) = (&dirs[Sub::New as usize], listed == [true, true], unchanged) {
            listings[Sub::New as usize] = Some(Listing::read(dir)?);
        }
        Ok((dirs, listings, can_tell && unchanged))
    }

    fn settle_twins(&mut self, names: &mut Names<'_>) -> Result<Vec<(Candidate, Candidate)>> {
        if !names.has_twins() {
            return Ok(Vec::new());
        }
        let mut known = HashSet::new();
        for slot in self.writer.snapshot()?.slots() {
            if !slot.status()?.has(Status::EXPUNGED) {
                known.insert((slot.hash(), slot.inode()));
            }
        }
        let folder = self.folder;
        let links = |sub, name: &[u8]| links(folder, sub, name);
        let mut twins = names.settle_twins(links, |hash, ino| known.contains(&(hash, ino)));
        twins.sort_by(|(_, a), (_, b)| names.listed(a).name.cmp(names.listed(b).name));
        Ok(twins)
    }

    /// Does what the comparison asks for.
    fn carry_out(
        &mut self,
        names: &Names<'_>,
        plan: Plan,
        dirs: &Subs,
        mut pass: Pass,
    ) -> Result<ControlFlow<End, Pass>> {
        for (slot, status) in plan.status {
            self.change_status(slot, status)?;
        }
        for (slot, hash, inode) in plan.hints {
            self.writer.set_hints(slot, hash, inode);
        }
        for slot in plan.superseded {
            self.writer.set_status(slot, Status::EXPUNGED);
        }
        let renamed = match self.read_tasks(names, plan.tasks, dirs, &mut pass)? {
            ControlFlow::Continue(renamed) => renamed,
            ControlFlow::Break(end) => return Ok(ControlFlow::Break(end)),
        };
        let missing = plan.missing.into_iter().filter(|slot| !renamed.contains(slot)).collect();
        // What came in this refresh is not part of what can have gone.
        let live = *self.so_far.live_before.get_or_insert(plan.live);
        self.remove(missing, live, &mut pass)?;
        self.writer.publish()?;
        Ok(ControlFlow::Continue(pass))
    }

    fn change_status(&mut self, slot: SlotNo, status: Status) -> Result<()> {
        let before = self.slot_status(slot)?;
        if before.has(Status::NEW) && !status.has(Status::NEW) {
            self.so_far.report.moved += 1;
        } else if before.flags() != status.flags() {
            self.so_far.report.flags += 1;
        }
        self.writer.set_status(slot, status);
        Ok(())
    }

    fn slot_status(&self, slot: SlotNo) -> Result<Status> {
        self.writer.index().slot(slot).expect("a slot of the published index").status()
    }

    /// Reads the mails that the comparison asks for, in order of arrival, and adds or renews their entries. Returns the
    /// slots that were found under another name.
    fn read_tasks(
        &mut self,
        names: &Names<'_>,
        mut tasks: Vec<(u32, Task)>,
        dirs: &Subs,
        pass: &mut Pass,
    ) -> Result<ControlFlow<End, HashSet<SlotNo>>> {
        names.sort_by_arrival(&mut tasks);
        let total = tasks.len();
        let mut renamed = HashSet::new();
        let mut batch = Instant::now();
        let mut end = End::Whole;
        // Where turns are taken, a start that took long is worth it only if much gets done then.
        let turn = if self.so_far.has_waited { self.lock.held_for() * WORTH_A_START } else { Duration::ZERO };
        let turn = *self.turn.get_or_insert(turn);
        let request = |position: usize| {
            let candidate = names.candidate(tasks[position].0);
            Request { sub: candidate.sub, name: names.listed(candidate).name }
        };
        read_all(dirs, &request, total, |position, outcome| {
            let (at, task) = tasks[position];
            let candidate = names.candidate(at);
            self.take(names, candidate, task, outcome, pass, &mut renamed)?;
            if batch.elapsed() > BATCH {
                self.writer.publish()?;
                batch = Instant::now();
                if position + 1 < total && self.lock.held_for() > turn && self.lock.is_asked()? {
                    let (seconds, base) = name::arrival(name::base_of(names.listed(candidate).name));
                    self.so_far.compared = Some((seconds, base.to_vec()));
                    end = End::Asked;
                    return Ok(false);
                }
            }
            if (self.progress)(Progress { done: position + 1, total }).is_break() {
                end = End::Stopped;
            }
            Ok(end == End::Whole)
        })?;
        self.writer.publish()?;
        Ok(if end == End::Whole { ControlFlow::Continue(renamed) } else { ControlFlow::Break(end) })
    }

    fn take(
        &mut self,
        names: &Names<'_>,
        candidate: &Candidate,
        task: Task,
        outcome: Outcome<'_>,
        pass: &mut Pass,
        renamed: &mut HashSet<SlotNo>,
    ) -> Result<()> {
        let listed = names.listed(candidate);
        let path = || self.folder.maildir().path_of(candidate.sub, listed.name);
        let mut status = names.status(candidate);
        let (entry, mail) = match outcome {
            Outcome::Vanished => {
                pass.again = true;
                return Ok(());
            }
            Outcome::NotMail => {
                self.so_far.report.odd.push((path(), "no plain file"));
                return Ok(());
            }
            Outcome::Unreadable(errno, entry) => {
                self.so_far.report.unreadable.push((path(), errno.into()));
                pass.unsettled[candidate.sub as usize] = true;
                status = status.with(Status::UNREADABLE);
                (entry, None)
            }
            Outcome::Read(Mail { size, received_ns, header_crc, has_header, entry }) => {
                if size == 0 {
                    pass.unsettled[candidate.sub as usize] = true;
                    status = status.with(Status::EMPTY);
                    self.so_far.report.empty += 1;
                } else if !has_header {
                    self.so_far.report.headless += 1;
                }
                (entry, Some((size, received_ns, header_crc)))
            }
        };
        let (hash, inode) = (candidate.hash, listed.ino);
        let slot = match task {
            Task::Add => return self.add(candidate.sub, entry, status, (hash, inode), pass),
            Task::Compare(slot) | Task::Renamed(slot) => slot,
        };
        let is_renamed = matches!(task, Task::Renamed(_));
        match self.compare(slot, name::base_of(listed.name), inode, mail, is_renamed)? {
            Verdict::Same => {
                if self.slot_status(slot)? != status {
                    self.change_status(slot, status)?;
                }
                if self.writer.index().slot(slot).expect("published").inode() != inode {
                    self.writer.set_hints(slot, hash, inode);
                }
            }
            Verdict::Renew => {
                let old = self.writer.index().slot(slot).expect("published");
                // Who follows the changes wants to hear of mail that can be read at last, but not of a new name, as of new
                // mail.
                let (uid, added) = (old.uid()?, self.entries.read(&old)?.added);
                let data = SlotData { uid, status, entry_at: 0, hash, inode };
                self.writer.renew(slot, entry, data, is_renamed.then_some(added))?;
                if is_renamed {
                    renamed.insert(slot);
                    self.so_far.report.renamed += 1;
                } else {
                    self.so_far.report.healed += 1;
                }
            }
            Verdict::CannotTell => {}
            // The new entry is durable before the old UID dies: one publish does them in that order.
            Verdict::Other => {
                self.add(candidate.sub, entry, status, (hash, inode), pass)?;
                if !is_renamed {
                    self.writer.set_status(slot, Status::EXPUNGED);
                    self.so_far.report.replaced += 1;
                }
            }
        }
        Ok(())
    }

    /// A new message. If all UIDs have been given out the rest goes on without it, and says so at each refresh.
    fn add(
        &mut self,
        sub: Sub,
        entry: &mut [u8],
        status: Status,
        (hash, inode): (u64, u64),
        pass: &mut Pass,
    ) -> Result<()> {
        match self.writer.add(entry, status, hash, inode) {
            Ok(_) => self.so_far.report.added += 1,
            Err(Error::UidsExhausted { .. }) => {
                self.so_far.report.unnumbered += 1;
                pass.unsettled[sub as usize] = true;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether a file is the mail that a slot stands for. `mail` is its size, mtime and header CRC, if it can be read.
    fn compare(
        &mut self,
        slot: SlotNo,
        base: &[u8],
        inode: u64,
        mail: Option<(u64, i64, u32)>,
        is_renamed: bool,
    ) -> Result<Verdict> {
        let slot = self.writer.index().slot(slot).expect("a published slot");
        let same_inode = slot.inode() == inode;
        let entry = self.entries.read(&slot)?;
        if entry.base != base && !is_renamed {
            return Ok(Verdict::Other); // two base names with one hash
        }
        let Some((size, received_ns, header_crc)) = mail else {
            return Ok(match (entry.unreadable, same_inode && !is_renamed) {
                (true, true) => Verdict::Same,
                (true, false) => Verdict::Other,
                (false, _) => Verdict::CannotTell,
            });
        };
        let equal = entry.size == size && entry.header_crc == header_crc;
        // A file that was touched is still itself; of another one the time of delivery must be the same, too, unless all
        // are others.
        let is_itself = (same_inode || self.is_copy) && !is_renamed;
        let proved = equal && (is_itself || is_same_time(entry.received_ns, received_ns));
        Ok(match () {
            () if entry.unreadable && same_inode && !is_renamed => Verdict::Renew,
            () if entry.unreadable => Verdict::Other,
            () if proved && is_renamed => Verdict::Renew,
            () if proved => Verdict::Same,
            () if entry.size == 0 && same_inode && !is_renamed => Verdict::Renew,
            () => Verdict::Other,
        })
    }

    /// Messages that this listing did not have: gone, if the one before did not have them either.
    fn remove(&mut self, missing: Vec<SlotNo>, live: usize, pass: &mut Pass) -> Result<()> {
        let needed = if pass.at_one_moment { 2 } else { MAX_PASSES };
        let misses: HashMap<_, _> =
            missing.into_iter().map(|slot| (slot, 1 + self.missing_before.get(&slot).copied().unwrap_or(0))).collect();
        let (gone, unsure): (Vec<_>, Vec<_>) = misses.iter().partition(|&(_, &misses)| misses >= needed);
        pass.again |= !unsure.is_empty();
        let mut gone: Vec<_> = gone.into_iter().map(|(&slot, _)| slot).collect();
        gone.sort_unstable();
        self.missing_before = misses;
        let mut sure = Vec::new();
        for slot in gone {
            if self.is_there_after_all(slot)? {
                pass.again = true;
            } else {
                sure.push(slot);
            }
        }
        if !self.options.accept_removals && self.is_suspicious(&sure, live, pass) {
            self.so_far.report.guarded = Some((sure.len(), live));
            return Ok(());
        }
        for slot in sure {
            self.writer.set_status(slot, Status::EXPUNGED);
            self.so_far.report.removed += 1;
        }
        Ok(())
    }

    fn is_there_after_all(&mut self, slot: SlotNo) -> Result<bool> {
        let slot = self.writer.index().slot(slot).expect("a published slot");
        let status = slot.status()?;
        if status.has(Status::NONCANONICAL) {
            return Ok(false);
        }
        let base = self.entries.read(&slot)?.base;
        let name = name::canonical(base, status.flags(), status.has(Status::NO_INFO));
        Ok(links(self.folder, status.sub(), &name).is_some())
    }

    /// The guard: a directory that is not there, or is another one than before, with most of the mail.
    fn is_suspicious(&self, gone: &[SlotNo], live: usize, pass: &Pass) -> bool {
        let was_seen = |&&slot: &&SlotNo| self.writer.index().slot(slot).is_some_and(|slot| slot.inode() != 0);
        // What was never listed is known only from an index that was made again, and may have been removed long ago; but
        // not all of it.
        let most = gone.iter().filter(was_seen).count() * 2 > live || gone.len() == live;
        let is_new = |sub: Sub| match (self.writer.index().header().stamp(sub), pass.stamps[sub as usize]) {
            (Some(before), Some(now)) => !before.is_same_directory(&now),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        let absent =
            |sub: Sub| self.writer.index().header().stamp(sub).is_some() && pass.stamps[sub as usize].is_none();
        let missing = Sub::ALL.into_iter().any(absent);
        !gone.is_empty() && (missing || (live > GUARDED_FROM && most && Sub::ALL.into_iter().any(is_new)))
    }

    /// Records the stamps from before the listing, so that an unchanged folder need not be listed again.
    fn record(&mut self, pass: &Pass, listed: [bool; 2]) -> Result<()> {
        if self.so_far.report.guarded.is_some() {
            return Ok(()); // which directory it was must stay known
        }
        for sub in Sub::ALL {
            if !listed[sub as usize] {
                continue;
            }
            let Some(stamp) = pass.stamps[sub as usize] else {
                if self.writer.index().header().stamp(sub).is_some() {
                    self.writer.edit_header(|header| header.forget_stamp(sub))?;
                }
                continue;
            };
            let settled = stamp.settled && !pass.unsettled[sub as usize] && !pass.again;
            let stamp = Stamp { settled, ..stamp };
            if self.writer.index().header().stamp(sub) != Some(stamp) {
                self.writer.edit_header(|header| header.set_stamp(sub, &stamp))?;
            }
        }
        Ok(())
    }
}

/// Whether a file is the mail that the index knows.
enum Verdict {
    /// It is.
    Same,
    /// It is, and its entry must be made anew.
    Renew,
    /// It is another mail.
    Other,
    /// It cannot be read, so nobody can tell.
    CannotTell,
}

/// How many hard links the mail of a name has; `None` if no mail has that name.
fn links(folder: &Folder, sub: Sub, name: &[u8]) -> Option<u64> {
    let dir = folder.maildir().sub(sub).ok()?;
    let stat = rustix::fs::statat(&dir, OsStr::from_bytes(name), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some(stat.st_nlink)
}
